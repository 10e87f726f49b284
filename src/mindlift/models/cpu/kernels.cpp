// What MindSpore computes on a CPU in several passes over a map, in as few as memory allows: norms with their ReLU and the
// sum of a residual block. model_utils/cpu_kernels.py compiles it; models/cpu/operators.py has shapes and gradients.
//
// Every function has the interface of MindSpore's ops.Custom of type "aot": pointers to inputs, then outputs, and the number of
// dimensions and the shape of each. Sums don't depend on the number of threads: each channel, group or row belongs to one.
// Sums over a plane are float, over planes double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

struct Maps {  // (N, C, ...): N images of C planes of `size` values
  int64_t images, channels, size;
  int64_t at(int64_t n, int64_t c) const { return (n * channels + c) * size; }
  double pixels() const { return static_cast<double>(images) * static_cast<double>(size); }
};

Maps maps_of(int dimensions, const int64_t *shape) {
  Maps found = {shape[0], shape[1], 1};
  for (int i = 2; i < dimensions; i++) found.size *= shape[i];
  return found;
}

float sum(const float *x, int64_t count) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < count; i++) total += x[i];
  return total;
}

float squares(const float *x, int64_t count, float mean) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < count; i++) total += (x[i] - mean) * (x[i] - mean);
  return total;
}

// A NaN stays one, so that the loss tells of it.
template <bool relu>
float activated(float value) {
  return relu && value < 0 ? 0.0f : value;
}

// y = activated((x - mean) * scale + shift + other); `other` may be null
template <bool relu, bool adds>
void affine(const float *x, const float *other, float *y, int64_t count, float mean, float scale, float shift) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    float value = (x[i] - mean) * scale + shift;
    if (adds) value += other[i];
    y[i] = activated<relu>(value);
  }
}

// y = activated((x - mean) * scale + shift) of `count` pixels of a block of channels
template <bool relu, int64_t block>
void in_lanes(const float *x, float *y, int64_t count, const float *mean, const float *scale, const float *shift) {
  for (int64_t i = 0; i < count * block; i += block) {
#pragma omp simd
    for (int64_t k = 0; k < block; k++) y[i + k] = activated<relu>((x[i + k] - mean[k]) * scale[k] + shift[k]);
  }
}

// x, gamma, beta, moving mean, moving variance, (eps, share of the new statistics)[, other] -> y, mean, 1 / deviation.
// The moving statistics are moved in place, by the unbiased variance (Ioffe and Szegedy 2015, algorithms 1 and 2).
template <bool relu, bool adds>
int norm_forward(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]);
  float *moving_mean = static_cast<float *>(p[3]), *moving_variance = static_cast<float *>(p[4]);
  const float eps = static_cast<float *>(p[5])[0], share = static_cast<float *>(p[5])[1];
  const float *other = adds ? static_cast<float *>(p[6]) : nullptr;
  void **out = p + (adds ? 7 : 6);
  float *y = static_cast<float *>(out[0]), *means = static_cast<float *>(out[1]), *scales = static_cast<float *>(out[2]);
  const double pixels = maps.pixels(), others = pixels > 1 ? pixels - 1 : 1;
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < maps.channels; c++) {
    double total = 0, spread = 0;
    for (int64_t n = 0; n < maps.images; n++) total += sum(x + maps.at(n, c), maps.size);
    const float mean = static_cast<float>(total / pixels);
    for (int64_t n = 0; n < maps.images; n++) spread += squares(x + maps.at(n, c), maps.size, mean);
    const float scale = static_cast<float>(1.0 / std::sqrt(spread / pixels + eps));
    means[c] = mean;
    scales[c] = scale;
    moving_mean[c] = (1 - share) * moving_mean[c] + share * mean;
    moving_variance[c] = (1 - share) * moving_variance[c] + share * static_cast<float>(spread / others);
    for (int64_t n = 0; n < maps.images; n++) {
      const int64_t at = maps.at(n, c);
      affine<relu, adds>(x + at, adds ? other + at : nullptr, y + at, maps.size, mean, gamma[c] * scale, beta[c]);
    }
  }
  return 0;
}

// What a plane adds to the gradients of beta and, times 1 / deviation, of gamma. `y` of a sum tells where the ReLU was open;
// without a sum it is computed again. `passed` of a sum is the gradient behind the ReLU, which is that of `other`.
template <bool relu, bool adds>
void plane_sums(const float *dy, const float *x, const float *y, float *passed, int64_t count, float mean, float scale,
                float shift, double *beta, double *gamma) {
  float first = 0, second = 0;
#pragma omp simd reduction(+ : first, second)
  for (int64_t i = 0; i < count; i++) {
    const float centred = x[i] - mean;
    float gradient = dy[i];
    if (relu) gradient = (adds ? y[i] : centred * scale + shift) > 0 ? gradient : 0.0f;
    if (adds) passed[i] = gradient;
    first += gradient;
    second += gradient * centred;
  }
  *beta += first;
  *gamma += second;
}

// dx = scale * (gradient - first - centred * second)
template <bool relu>
void plane_gradient(const float *dy, const float *x, float *dx, int64_t count, float mean, float scale, float shift,
                    float factor, float first, float second) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    const float centred = x[i] - mean;
    float gradient = dy[i];
    if (relu) gradient = centred * scale + shift > 0 ? gradient : 0.0f;
    dx[i] = gradient * factor - first - centred * second;
  }
}

// dy, x, gamma, beta, mean, 1 / deviation[, y] -> dx, dgamma, dbeta[, gradient of `other`]
template <bool relu, bool adds>
int norm_backward(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *gamma = static_cast<float *>(p[2]),
              *beta = static_cast<float *>(p[3]), *means = static_cast<float *>(p[4]), *scales = static_cast<float *>(p[5]);
  const float *y = adds ? static_cast<float *>(p[6]) : nullptr;
  void **out = p + (adds ? 7 : 6);
  float *dx = static_cast<float *>(out[0]), *dgamma = static_cast<float *>(out[1]), *dbeta = static_cast<float *>(out[2]);
  float *passed = adds ? static_cast<float *>(out[3]) : nullptr;
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < maps.channels; c++) {
    const float mean = means[c], scale = gamma[c] * scales[c];
    double of_beta = 0, of_gamma = 0;
    for (int64_t n = 0; n < maps.images; n++) {
      const int64_t at = maps.at(n, c);
      plane_sums<relu, adds>(dy + at, x + at, adds ? y + at : nullptr, adds ? passed + at : nullptr, maps.size, mean,
                             scale, beta[c], &of_beta, &of_gamma);
    }
    dbeta[c] = static_cast<float>(of_beta);
    dgamma[c] = static_cast<float>(of_gamma * scales[c]);
    const float first = static_cast<float>(scale * of_beta / maps.pixels());
    const float second = static_cast<float>(scale * of_gamma * scales[c] * scales[c] / maps.pixels());
    for (int64_t n = 0; n < maps.images; n++) {
      const int64_t at = maps.at(n, c);
      plane_gradient<relu && !adds>((adds ? passed : dy) + at, x + at, dx + at, maps.size, mean, scale, beta[c], scale,
                                    first, second);
    }
  }
  return 0;
}

// x, gamma, beta, mean, variance, (eps, ...) -> y, at inference
template <bool relu>
int norm_inference(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]),
              *means = static_cast<float *>(p[3]), *variances = static_cast<float *>(p[4]);
  const float eps = static_cast<float *>(p[5])[0];
  float *y = static_cast<float *>(p[6]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++) {
    const int64_t c = plane % maps.channels, at = plane * maps.size;
    const float scale = static_cast<float>(gamma[c] / std::sqrt(static_cast<double>(variances[c]) + eps));
    affine<relu, false>(x + at, nullptr, y + at, maps.size, means[c], scale, beta[c]);
  }
  return 0;
}

// The same for maps in blocks of channels, (N, C / block, H, W, block)
template <bool relu, int64_t block>
int norm_inference_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]),
              *means = static_cast<float *>(p[3]), *variances = static_cast<float *>(p[4]);
  const float eps = static_cast<float *>(p[5])[0];
  float *y = static_cast<float *>(p[6]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++) {
    const int64_t c = plane % maps.channels * block;
    float scale[block];
    for (int64_t k = 0; k < block; k++)
      scale[k] = static_cast<float>(gamma[c + k] / std::sqrt(static_cast<double>(variances[c + k]) + eps));
    in_lanes<relu, block>(x + plane * maps.size, y + plane * maps.size, maps.size / block, means + c, scale, beta + c);
  }
  return 0;
}

// x, bias[, other] -> y = activated(x + bias + other)
template <bool relu, bool adds>
int bias_forward(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *bias = static_cast<float *>(p[1]);
  const float *other = adds ? static_cast<float *>(p[2]) : nullptr;
  float *y = static_cast<float *>(p[adds ? 3 : 2]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++) {
    const int64_t at = plane * maps.size;
    affine<relu, adds>(x + at, adds ? other + at : nullptr, y + at, maps.size, 0, 1, bias[plane % maps.channels]);
  }
  return 0;
}

constexpr int64_t kGroups = 32;

// Group norm and ReLU (Wu and He 2018): x, gamma, beta, (eps,) -> y, mean (N, groups), 1 / deviation (N, groups)
int groups_forward(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]);
  const float eps = static_cast<float *>(p[3])[0];
  float *y = static_cast<float *>(p[4]), *means = static_cast<float *>(p[5]), *scales = static_cast<float *>(p[6]);
  const int64_t width = maps.channels / kGroups;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < maps.images * kGroups; row++) {
    const int64_t n = row / kGroups, begin = row % kGroups * width;
    const double count = static_cast<double>(width) * static_cast<double>(maps.size);
    double total = 0, spread = 0;
    for (int64_t c = begin; c < begin + width; c++) total += sum(x + maps.at(n, c), maps.size);
    const float mean = static_cast<float>(total / count);
    for (int64_t c = begin; c < begin + width; c++) spread += squares(x + maps.at(n, c), maps.size, mean);
    const float scale = static_cast<float>(1.0 / std::sqrt(spread / count + eps));
    means[row] = mean;
    scales[row] = scale;
    for (int64_t c = begin; c < begin + width; c++) {
      const int64_t at = maps.at(n, c);
      affine<true, false>(x + at, nullptr, y + at, maps.size, mean, gamma[c] * scale, beta[c]);
    }
  }
  return 0;
}

// Sum of x - mean, or of its square, of each channel of a block over `count` pixels, added to `total`
template <bool squared, int64_t block>
void lane_sums(const float *x, int64_t count, const float *mean, double *total) {
  constexpr int64_t run = 256, side = 4;  // pixels whose sum is float; sums that go on at once
  for (int64_t begin = 0; begin < count; begin += run) {
    const int64_t end = std::min(begin + run, count), whole = begin + (end - begin) / side * side;
    float sums[side][block] = {};
    for (int64_t i = begin; i < whole; i += side) {
      for (int64_t j = 0; j < side; j++) {
#pragma omp simd
        for (int64_t k = 0; k < block; k++) {
          const float value = x[(i + j) * block + k] - mean[k];
          sums[j][k] += squared ? value * value : value;
        }
      }
    }
    for (int64_t i = whole; i < end; i++) {
#pragma omp simd
      for (int64_t k = 0; k < block; k++) {
        const float value = x[i * block + k] - mean[k];
        sums[0][k] += squared ? value * value : value;
      }
    }
    for (int64_t k = 0; k < block; k++) total[k] += sums[0][k] + sums[1][k] + sums[2][k] + sums[3][k];
  }
}

// groups_forward at inference, for maps in blocks of channels, (N, C / block, H, W, block)
template <int64_t block>
int groups_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]);
  const float eps = static_cast<float *>(p[3])[0];
  float *y = static_cast<float *>(p[4]), *means = static_cast<float *>(p[5]), *scales = static_cast<float *>(p[6]);
  const int64_t width = maps.channels * block / kGroups, pixels = maps.size / block;
  int64_t own = block;  // channels that whole groups and whole blocks make: they belong to one thread
  while (own % width != 0) own += block;
  const int64_t units = maps.channels * block / own;
#pragma omp parallel
  {
    std::vector<double> total(own);
    std::vector<float> mean(own), scale(own);
#pragma omp for schedule(static)
    for (int64_t unit = 0; unit < maps.images * units; unit++) {
      const int64_t n = unit / units, first = unit % units * own;
      const float *from = x + maps.at(n, first / block);
      float *to = y + maps.at(n, first / block);
      for (const bool squared : {false, true}) {
        std::fill(total.begin(), total.end(), 0.0);
        if (!squared) std::fill(mean.begin(), mean.end(), 0.0f);
        for (int64_t c = 0; c < own; c += block)
          (squared ? lane_sums<true, block> : lane_sums<false, block>)(from + c * pixels, pixels, &mean[c], &total[c]);
        for (int64_t begin = 0; begin < own; begin += width) {
          double all = 0;
          for (int64_t c = begin; c < begin + width; c++) all += total[c];
          all /= static_cast<double>(width * pixels);
          const float value = static_cast<float>(squared ? 1.0 / std::sqrt(all + eps) : all);
          (squared ? scales : means)[n * kGroups + (first + begin) / width] = value;
          for (int64_t c = begin; c < begin + width; c++)
            (squared ? scale : mean)[c] = squared ? gamma[first + c] * value : value;
        }
      }
      for (int64_t c = 0; c < own; c += block)
        in_lanes<true, block>(from + c * pixels, to + c * pixels, pixels, &mean[c], &scale[c], beta + first + c);
    }
  }
  return 0;
}

// dy, x, gamma, beta, mean, 1 / deviation -> dx, dgamma, dbeta. A group of channels belongs to one thread, in all images.
int groups_backward(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *gamma = static_cast<float *>(p[2]),
              *beta = static_cast<float *>(p[3]), *means = static_cast<float *>(p[4]), *scales = static_cast<float *>(p[5]);
  float *dx = static_cast<float *>(p[6]), *dgamma = static_cast<float *>(p[7]), *dbeta = static_cast<float *>(p[8]);
  const int64_t width = maps.channels / kGroups;
  const double count = static_cast<double>(width) * static_cast<double>(maps.size);
#pragma omp parallel for schedule(static)
  for (int64_t group = 0; group < kGroups; group++) {
    const int64_t begin = group * width, end = begin + width;
    for (int64_t n = 0; n < maps.images; n++) {
      const float mean = means[n * kGroups + group], deviation = scales[n * kGroups + group];
      double first = 0, second = 0;
      for (int64_t c = begin; c < end; c++) {
        const int64_t at = maps.at(n, c);
        double of_beta = 0, of_gamma = 0;
        plane_sums<true, false>(dy + at, x + at, nullptr, nullptr, maps.size, mean, gamma[c] * deviation, beta[c],
                                &of_beta, &of_gamma);
        dbeta[c] = (n == 0 ? 0.0f : dbeta[c]) + static_cast<float>(of_beta);
        dgamma[c] = (n == 0 ? 0.0f : dgamma[c]) + static_cast<float>(of_gamma * deviation);
        first += gamma[c] * of_beta;
        second += gamma[c] * of_gamma;
      }
      const float one = static_cast<float>(deviation * first / count);
      const float two = static_cast<float>(deviation * second * deviation * deviation / count);
      for (int64_t c = begin; c < end; c++) {
        const int64_t at = maps.at(n, c);
        const float scale = gamma[c] * deviation;
        plane_gradient<true>(dy + at, x + at, dx + at, maps.size, mean, scale, beta[c], scale, one, two);
      }
    }
  }
  return 0;
}

// x (R, ...), (eps,) -> (x - mean) / deviation of each row, mean (R,), 1 / deviation (R,)
int rows_forward(void **p, int64_t rows, int64_t length) {
  const float *x = static_cast<float *>(p[0]);
  const float eps = static_cast<float *>(p[1])[0];
  float *y = static_cast<float *>(p[2]), *means = static_cast<float *>(p[3]), *scales = static_cast<float *>(p[4]);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; row++) {
    const float *from = x + row * length;
    const float mean = sum(from, length) / static_cast<float>(length);
    const double variance = squares(from, length, mean) / static_cast<double>(length);
    const float scale = static_cast<float>(1.0 / std::sqrt(variance + eps));
    means[row] = mean;
    scales[row] = scale;
    affine<false, false>(from, nullptr, y + row * length, length, mean, scale, 0.0f);
  }
  return 0;
}

// dy, x, mean, 1 / deviation -> dx
int rows_backward(void **p, int64_t rows, int64_t length) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *means = static_cast<float *>(p[2]),
              *scales = static_cast<float *>(p[3]);
  float *dx = static_cast<float *>(p[4]);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; row++) {
    const int64_t at = row * length;
    const float scale = scales[row], mean = means[row];
    double first = 0, second = 0;
    plane_sums<false, false>(dy + at, x + at, nullptr, nullptr, length, mean, 0, 0, &first, &second);
    plane_gradient<false>(dy + at, x + at, dx + at, length, mean, 0, 0, scale,
                          static_cast<float>(scale * first / static_cast<double>(length)),
                          static_cast<float>(scale * second * scale * scale / static_cast<double>(length)));
  }
  return 0;
}

// x (N, C, ...) -> (N, C)
int means_forward(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]);
  float *y = static_cast<float *>(p[1]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++)
    y[plane] = sum(x + plane * maps.size, maps.size) / static_cast<float>(maps.size);
  return 0;
}

template <int64_t block>
int means_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), zeros[block] = {};
  float *y = static_cast<float *>(p[1]);
  const int64_t pixels = maps.size / block;
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++) {
    double total[block] = {};
    lane_sums<false, block>(x + plane * maps.size, pixels, zeros, total);
    for (int64_t k = 0; k < block; k++) y[plane * block + k] = static_cast<float>(total[k] / static_cast<double>(pixels));
  }
  return 0;
}

// dy (N, C), x of which only the shape counts -> dx
int means_backward(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]);
  float *dx = static_cast<float *>(p[2]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.images * maps.channels; plane++)
    std::fill(dx + plane * maps.size, dx + (plane + 1) * maps.size, dy[plane] / static_cast<float>(maps.size));
  return 0;
}

}  // namespace

#define KERNEL(name, call)                                                                                       \
  extern "C" int name(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {         \
    const Maps maps = maps_of(dimensions[0], shapes[0]);                                                         \
    return call;                                                                                                 \
  }

KERNEL(norm, (norm_forward<false, false>(p, maps)))
KERNEL(norm_relu, (norm_forward<true, false>(p, maps)))
KERNEL(norm_add_relu, (norm_forward<true, true>(p, maps)))
#define KERNEL_OF_BLOCKS(name, plain, of_16, of_8) \
  KERNEL(name, (dimensions[0] != 5 ? plain(p, maps) : shapes[0][4] == 16 ? of_16(p, maps) : of_8(p, maps)))

KERNEL_OF_BLOCKS(norm_at_inference, norm_inference<false>, (norm_inference_in_blocks<false, 16>),
                 (norm_inference_in_blocks<false, 8>))
KERNEL_OF_BLOCKS(norm_relu_at_inference, norm_inference<true>, (norm_inference_in_blocks<true, 16>),
                 (norm_inference_in_blocks<true, 8>))
KERNEL(bias, (bias_forward<false, false>(p, maps)))
KERNEL(bias_relu, (bias_forward<true, false>(p, maps)))
KERNEL(bias_add_relu, (bias_forward<true, true>(p, maps)))
KERNEL(norm_gradient, (norm_backward<false, false>(p, maps)))
KERNEL(norm_relu_gradient, (norm_backward<true, false>(p, maps)))
KERNEL(norm_add_relu_gradient, (norm_backward<true, true>(p, maps)))
KERNEL_OF_BLOCKS(group_norm_relu, groups_forward, groups_in_blocks<16>, groups_in_blocks<8>)
KERNEL(group_norm_relu_gradient, (groups_backward(p, maps)))
KERNEL(rows, (rows_forward(p, maps.images, maps.channels * maps.size)))
KERNEL_OF_BLOCKS(means, means_forward, means_in_blocks<16>, means_in_blocks<8>)
extern "C" int means_gradient(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  return means_backward(p, maps_of(dimensions[1], shapes[1]));
}
KERNEL(rows_gradient, (rows_backward(p, maps.images, maps.channels * maps.size)))
