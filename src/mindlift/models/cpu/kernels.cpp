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

#include "lanes.h"

namespace {

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

// dy, x, gamma, beta, mean, 1 / deviation[, y] -> dx, dgamma, dbeta[, gradient of `other`]. A frozen norm, whose statistics are no
// function of x, is given moving mean, moving variance, (eps, ...) in place of mean and 1 / deviation.
template <bool relu, bool adds, bool frozen>
int norm_backward(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *gamma = static_cast<float *>(p[2]),
              *beta = static_cast<float *>(p[3]), *means = static_cast<float *>(p[4]), *scales = static_cast<float *>(p[5]);
  const float *y = adds ? static_cast<float *>(p[6]) : nullptr;
  void **out = p + (adds || frozen ? 7 : 6);
  float *dx = static_cast<float *>(out[0]), *dgamma = static_cast<float *>(out[1]), *dbeta = static_cast<float *>(out[2]);
  float *passed = adds ? static_cast<float *>(out[3]) : nullptr;
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < maps.channels; c++) {
    const float deviation = frozen ? inverse_deviation(scales[c], static_cast<float *>(p[6])[0]) : scales[c];  // 1 over it
    const float mean = means[c], scale = gamma[c] * deviation;
    double of_beta = 0, of_gamma = 0;
    for (int64_t n = 0; n < maps.images; n++) {
      const int64_t at = maps.at(n, c);
      plane_sums<relu, adds>(dy + at, x + at, adds ? y + at : nullptr, adds ? passed + at : nullptr, maps.size, mean,
                             scale, beta[c], &of_beta, &of_gamma);
    }
    dbeta[c] = static_cast<float>(of_beta);
    dgamma[c] = static_cast<float>(of_gamma * deviation);
    const double share = frozen ? 0.0 : scale / maps.pixels();
    const float first = static_cast<float>(share * of_beta);
    const float second = static_cast<float>(share * of_gamma * deviation * deviation);
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
    const float scale = gamma[c] * inverse_deviation(variances[c], eps);
    affine<relu, false>(x + at, nullptr, y + at, maps.size, means[c], scale, beta[c]);
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

#define KERNEL_OF_BLOCKS(name, position, plain, of_16, of_8)                                                     \
  extern "C" int name(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {         \
    const Maps maps = maps_of(dimensions[position], shapes[position]);                                           \
    if (dimensions[position] != 5) return plain(p, maps);                                                        \
    return shapes[position][4] == 16 ? of_16(p, maps) : of_8(p, maps);                                           \
  }

KERNEL_OF_BLOCKS(norm, 0, (norm_forward<false, false>), (norm_forward_in_blocks<false, false, 16>),
                 (norm_forward_in_blocks<false, false, 8>))
KERNEL_OF_BLOCKS(norm_relu, 0, (norm_forward<true, false>), (norm_forward_in_blocks<true, false, 16>),
                 (norm_forward_in_blocks<true, false, 8>))
KERNEL_OF_BLOCKS(norm_add_relu, 0, (norm_forward<true, true>), (norm_forward_in_blocks<true, true, 16>),
                 (norm_forward_in_blocks<true, true, 8>))
KERNEL_OF_BLOCKS(norm_gradient, 0, (norm_backward<false, false, false>),
                 (norm_backward_in_blocks<false, false, false, 16>), (norm_backward_in_blocks<false, false, false, 8>))
KERNEL_OF_BLOCKS(norm_relu_gradient, 0, (norm_backward<true, false, false>),
                 (norm_backward_in_blocks<true, false, false, 16>), (norm_backward_in_blocks<true, false, false, 8>))
KERNEL_OF_BLOCKS(norm_add_relu_gradient, 0, (norm_backward<true, true, false>),
                 (norm_backward_in_blocks<true, true, false, 16>), (norm_backward_in_blocks<true, true, false, 8>))
KERNEL_OF_BLOCKS(norm_at_inference, 0, norm_inference<false>, (norm_inference_in_blocks<false, 16>),
                 (norm_inference_in_blocks<false, 8>))
KERNEL_OF_BLOCKS(norm_relu_at_inference, 0, norm_inference<true>, (norm_inference_in_blocks<true, 16>),
                 (norm_inference_in_blocks<true, 8>))
KERNEL_OF_BLOCKS(norm_at_inference_gradient, 0, (norm_backward<false, false, true>),
                 (norm_backward_in_blocks<false, false, true, 16>), (norm_backward_in_blocks<false, false, true, 8>))
KERNEL_OF_BLOCKS(norm_relu_at_inference_gradient, 0, (norm_backward<true, false, true>),
                 (norm_backward_in_blocks<true, false, true, 16>), (norm_backward_in_blocks<true, false, true, 8>))
KERNEL_OF_BLOCKS(group_norm_relu, 0, groups_forward, groups_forward_in_blocks<16>, groups_forward_in_blocks<8>)
KERNEL_OF_BLOCKS(group_norm_relu_gradient, 0, groups_backward, groups_backward_in_blocks<16>,
                 groups_backward_in_blocks<8>)
KERNEL_OF_BLOCKS(means, 0, means_forward, means_forward_in_blocks<16>, means_forward_in_blocks<8>)
KERNEL_OF_BLOCKS(means_gradient, 1, means_backward, means_backward_in_blocks<16>, means_backward_in_blocks<8>)
KERNEL(bias, (bias_forward<false, false>(p, maps)))
KERNEL(bias_relu, (bias_forward<true, false>(p, maps)))
KERNEL(bias_add_relu, (bias_forward<true, true>(p, maps)))
KERNEL(rows, (rows_forward(p, maps.images, maps.channels * maps.size)))
KERNEL(rows_gradient, (rows_backward(p, maps.images, maps.channels * maps.size)))
