// Norms, and means of maps, for maps in blocks of channels, (N, C / block, H, W, block): the channels of a block are the lanes of
// a vector. Included by kernels.cpp, which has the same for (N, C, H, W).
//
// A plane here is one block of one image. It belongs to one thread, and what planes add to a channel is added in the order of the
// images: sums don't depend on the number of threads.

#ifndef MINDLIFT_LANES_H
#define MINDLIFT_LANES_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

struct Maps {  // (N, C, ...): N images of C planes of `size` values
  int64_t images, channels, size;
  int64_t at(int64_t n, int64_t c) const { return (n * channels + c) * size; }
  int64_t planes() const { return images * channels; }
  double pixels() const { return static_cast<double>(images) * static_cast<double>(size); }
};

Maps maps_of(int dimensions, const int64_t *shape) {
  Maps found = {shape[0], shape[1], 1};
  for (int i = 2; i < dimensions; i++) found.size *= shape[i];
  return found;
}

// A NaN stays one, so that the loss tells of it.
template <bool relu>
float activated(float value) {
  return relu && value < 0 ? 0.0f : value;
}

inline float inverse_deviation(float variance, float eps) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(variance) + eps));
}

constexpr int64_t kRun = 256, kSide = 4;  // pixels whose sum is float; sums that go on at once

// y = activated((x - mean) * scale + shift + other) of `count` pixels; `other` may be null
template <bool relu, bool adds, int64_t block>
void affine_lanes(const float *x, const float *other, float *y, int64_t count, const float *mean, const float *scale,
                  const float *shift) {
  for (int64_t i = 0; i < count * block; i += block) {
#pragma omp simd
    for (int64_t k = 0; k < block; k++) {
      float value = (x[i + k] - mean[k]) * scale[k] + shift[k];
      if (adds) value += other[i + k];
      y[i + k] = activated<relu>(value);
    }
  }
}

// sums[lane] of value(pixel, lane) over the pixels [begin, end), at most kRun of them
template <int64_t block, typename Value>
void add_up(int64_t begin, int64_t end, float *sums, Value value) {
  float parts[kSide][block] = {};
  const int64_t whole = begin + (end - begin) / kSide * kSide;
  for (int64_t i = begin; i < whole; i += kSide) {
    for (int64_t j = 0; j < kSide; j++) {
#pragma omp simd
      for (int64_t k = 0; k < block; k++) parts[j][k] += value(i + j, k);
    }
  }
  for (int64_t i = whole; i < end; i++) {
#pragma omp simd
    for (int64_t k = 0; k < block; k++) parts[0][k] += value(i, k);
  }
  for (int64_t k = 0; k < block; k++) sums[k] = parts[0][k] + parts[1][k] + parts[2][k] + parts[3][k];
}

// Mean, and sum of the squares of the distances from it, of so many values (Chan, Golub and LeVeque, Updating Formulae, 1979)
struct Spread {
  double count = 0, mean = 0, squares = 0;
  void add(double others, double their_mean, double their_squares) {
    const double all = count + others, distance = their_mean - mean;
    squares += their_squares + distance * distance * count * others / all;
    mean += distance * others / all;
    count = all;
  }
};

// Of each channel of a plane of `pixels` pixels, read from memory once
template <int64_t block>
void spread_of_plane(const float *x, int64_t pixels, Spread *found) {
  for (int64_t begin = 0; begin < pixels; begin += kRun) {
    const int64_t end = std::min(begin + kRun, pixels);
    const float count = static_cast<float>(end - begin);
    float mean[block], squares[block];
    add_up<block>(begin, end, mean, [=](int64_t i, int64_t k) { return x[i * block + k]; });
    for (int64_t k = 0; k < block; k++) mean[k] /= count;
    const float *middle = mean;
    add_up<block>(begin, end, squares, [=](int64_t i, int64_t k) {
      return (x[i * block + k] - middle[k]) * (x[i * block + k] - middle[k]);
    });
    for (int64_t k = 0; k < block; k++) found[k].add(count, mean[k], squares[k]);
  }
}

// norm_forward of kernels.cpp
template <bool relu, bool adds, int64_t block>
int norm_forward_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]);
  float *moving_mean = static_cast<float *>(p[3]), *moving_variance = static_cast<float *>(p[4]);
  const float eps = static_cast<float *>(p[5])[0], share = static_cast<float *>(p[5])[1];
  const float *other = adds ? static_cast<float *>(p[6]) : nullptr;
  void **out = p + (adds ? 7 : 6);
  float *y = static_cast<float *>(out[0]), *means = static_cast<float *>(out[1]), *scales = static_cast<float *>(out[2]);
  const int64_t pixels = maps.size / block, channels = maps.channels * block;
  std::vector<Spread> spreads(maps.planes() * block);
  std::vector<float> factors(channels);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < maps.planes(); plane++)
      spread_of_plane<block>(x + plane * maps.size, pixels, &spreads[plane * block]);
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) {
      Spread all;
      for (int64_t n = 0; n < maps.images; n++) {
        const Spread &own = spreads[n * channels + c];
        all.add(own.count, own.mean, own.squares);
      }
      const float mean = static_cast<float>(all.mean);
      scales[c] = static_cast<float>(1.0 / std::sqrt(all.squares / all.count + eps));
      means[c] = mean;
      factors[c] = gamma[c] * scales[c];
      moving_mean[c] = (1 - share) * moving_mean[c] + share * mean;
      const double unbiased = all.squares / std::max(all.count - 1, 1.0);
      moving_variance[c] = (1 - share) * moving_variance[c] + share * static_cast<float>(unbiased);
    }
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < maps.planes(); plane++) {
      const int64_t c = plane % maps.channels * block, at = plane * maps.size;
      affine_lanes<relu, adds, block>(x + at, adds ? other + at : nullptr, y + at, pixels, means + c, &factors[c], beta + c);
    }
  }
  return 0;
}

// plane_sums of kernels.cpp: what a plane adds to the gradients of beta and, times 1 / deviation, of gamma
template <bool relu, bool adds, int64_t block>
void gradient_sums(const float *dy, const float *x, const float *y, float *passed, int64_t pixels, const float *mean,
                   const float *scale, const float *shift, double *beta, double *gamma) {
  const auto add = [=](int64_t at, float *one, float *two) {
#pragma omp simd
    for (int64_t k = 0; k < block; k++) {
      const float centred = x[at + k] - mean[k];
      float gradient = dy[at + k];
      if (relu) gradient = (adds ? y[at + k] : centred * scale[k] + shift[k]) > 0 ? gradient : 0.0f;
      if (adds) passed[at + k] = gradient;
      one[k] += gradient;
      two[k] += gradient * centred;
    }
  };
  for (int64_t begin = 0; begin < pixels; begin += kRun) {
    const int64_t end = std::min(begin + kRun, pixels), whole = begin + (end - begin) / 2 * 2;
    float first[2][block] = {}, second[2][block] = {};
    for (int64_t i = begin; i < whole; i += 2) {
      add(i * block, first[0], second[0]);
      add((i + 1) * block, first[1], second[1]);
    }
    if (whole < end) add(whole * block, first[0], second[0]);
    for (int64_t k = 0; k < block; k++) {
      beta[k] += first[0][k] + first[1][k];
      gamma[k] += second[0][k] + second[1][k];
    }
  }
}

// plane_gradient of kernels.cpp: dx = factor * gradient - first - centred * second
template <bool relu, int64_t block>
void gradient_lanes(const float *dy, const float *x, float *dx, int64_t pixels, const float *mean, const float *scale,
                    const float *shift, const float *first, const float *second) {
  for (int64_t i = 0; i < pixels * block; i += block) {
#pragma omp simd
    for (int64_t k = 0; k < block; k++) {
      const float centred = x[i + k] - mean[k];
      float gradient = dy[i + k];
      if (relu) gradient = centred * scale[k] + shift[k] > 0 ? gradient : 0.0f;
      dx[i + k] = gradient * scale[k] - first[k] - centred * second[k];
    }
  }
}

// norm_backward of kernels.cpp
template <bool relu, bool adds, bool frozen, int64_t block>
int norm_backward_in_blocks(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *gamma = static_cast<float *>(p[2]),
              *beta = static_cast<float *>(p[3]), *means = static_cast<float *>(p[4]), *scales = static_cast<float *>(p[5]);
  const float *y = adds ? static_cast<float *>(p[6]) : nullptr;
  void **out = p + (adds || frozen ? 7 : 6);
  float *dx = static_cast<float *>(out[0]), *dgamma = static_cast<float *>(out[1]), *dbeta = static_cast<float *>(out[2]);
  float *passed = adds ? static_cast<float *>(out[3]) : nullptr;
  const int64_t pixels = maps.size / block, channels = maps.channels * block;
  const double count = maps.pixels() / block;
  std::vector<double> of_beta(maps.planes() * block), of_gamma(maps.planes() * block);
  std::vector<float> factors(channels), first(channels), second(channels);
  const auto scale = [=](int64_t c) { return frozen ? inverse_deviation(scales[c], static_cast<float *>(p[6])[0]) : scales[c]; };
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) factors[c] = gamma[c] * scale(c);
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < maps.planes(); plane++) {
      const int64_t c = plane % maps.channels * block, at = plane * maps.size;
      gradient_sums<relu, adds, block>(dy + at, x + at, adds ? y + at : nullptr, adds ? passed + at : nullptr, pixels,
                                       means + c, &factors[c], beta + c, &of_beta[plane * block], &of_gamma[plane * block]);
    }
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) {
      double one = 0, two = 0;
      for (int64_t n = 0; n < maps.images; n++) {
        one += of_beta[n * channels + c];
        two += of_gamma[n * channels + c];
      }
      dbeta[c] = static_cast<float>(one);
      dgamma[c] = static_cast<float>(two * scale(c));
      if (frozen) continue;
      first[c] = static_cast<float>(factors[c] * one / count);
      second[c] = static_cast<float>(factors[c] * two * scale(c) * scale(c) / count);
    }
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < maps.planes(); plane++) {
      const int64_t c = plane % maps.channels * block, at = plane * maps.size;
      gradient_lanes<relu && !adds, block>((adds ? passed : dy) + at, x + at, dx + at, pixels, means + c, &factors[c],
                                           beta + c, &first[c], &second[c]);
    }
  }
  return 0;
}

// norm_inference of kernels.cpp
template <bool relu, int64_t block>
int norm_inference_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]),
              *means = static_cast<float *>(p[3]), *variances = static_cast<float *>(p[4]);
  const float eps = static_cast<float *>(p[5])[0];
  float *y = static_cast<float *>(p[6]);
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.planes(); plane++) {
    const int64_t c = plane % maps.channels * block, at = plane * maps.size;
    float scale[block];
    for (int64_t k = 0; k < block; k++) scale[k] = gamma[c + k] * inverse_deviation(variances[c + k], eps);
    affine_lanes<relu, false, block>(x + at, nullptr, y + at, maps.size / block, means + c, scale, beta + c);
  }
  return 0;
}

constexpr int64_t kGroups = 32;

// How the channels of maps lie in groups: `own` channels are whole groups and whole blocks, and a unit of work
template <int64_t block>
struct Units {
  int64_t width, own, count;  // channels of a group, and of a unit; units of all images

  explicit Units(const Maps &maps) : width(maps.channels * block / kGroups), own(block) {
    while (own % width != 0) own += block;
    per_image_ = maps.channels * block / own;
    count = maps.images * per_image_;
  }
  int64_t image(int64_t unit) const { return unit / per_image_; }
  int64_t channel(int64_t unit) const { return unit % per_image_ * own; }

 private:
  int64_t per_image_;
};

// groups_forward of kernels.cpp
template <int64_t block>
int groups_forward_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]), *gamma = static_cast<float *>(p[1]), *beta = static_cast<float *>(p[2]);
  const float eps = static_cast<float *>(p[3])[0];
  float *y = static_cast<float *>(p[4]), *means = static_cast<float *>(p[5]), *scales = static_cast<float *>(p[6]);
  const Units<block> units(maps);
  const int64_t pixels = maps.size / block;
#pragma omp parallel
  {
    std::vector<float> mean(units.own), scale(units.own);
#pragma omp for schedule(static)
    for (int64_t unit = 0; unit < units.count; unit++) {
      const int64_t n = units.image(unit), first = units.channel(unit), at = maps.at(n, first / block);
      std::vector<Spread> spreads(units.own);
      for (int64_t c = 0; c < units.own; c += block) spread_of_plane<block>(x + at + c * pixels, pixels, &spreads[c]);
      for (int64_t c = 0; c < units.own; c += units.width) {
        Spread all;
        for (int64_t k = c; k < c + units.width; k++) all.add(spreads[k].count, spreads[k].mean, spreads[k].squares);
        const int64_t group = n * kGroups + (first + c) / units.width;
        means[group] = static_cast<float>(all.mean);
        scales[group] = static_cast<float>(1.0 / std::sqrt(all.squares / all.count + eps));
        for (int64_t k = c; k < c + units.width; k++) {
          mean[k] = means[group];
          scale[k] = gamma[first + k] * scales[group];
        }
      }
      for (int64_t c = 0; c < units.own; c += block)
        affine_lanes<true, false, block>(x + at + c * pixels, nullptr, y + at + c * pixels, pixels, &mean[c], &scale[c],
                                         beta + first + c);
    }
  }
  return 0;
}

// groups_backward of kernels.cpp
template <int64_t block>
int groups_backward_in_blocks(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]), *gamma = static_cast<float *>(p[2]),
              *beta = static_cast<float *>(p[3]), *means = static_cast<float *>(p[4]), *scales = static_cast<float *>(p[5]);
  float *dx = static_cast<float *>(p[6]), *dgamma = static_cast<float *>(p[7]), *dbeta = static_cast<float *>(p[8]);
  const Units<block> units(maps);
  const int64_t pixels = maps.size / block, channels = maps.channels * block;
  const double count = static_cast<double>(units.width) * static_cast<double>(pixels);
  std::vector<double> of_beta(maps.planes() * block), of_gamma(maps.planes() * block);
#pragma omp parallel
  {
    std::vector<float> mean(units.own), scale(units.own), one(units.own), two(units.own);
#pragma omp for schedule(static)
    for (int64_t unit = 0; unit < units.count; unit++) {
      const int64_t n = units.image(unit), first = units.channel(unit), at = maps.at(n, first / block);
      double *betas = &of_beta[n * channels + first], *gammas = &of_gamma[n * channels + first];
      const float *group_mean = means + n * kGroups + first / units.width;
      const float *deviation = scales + n * kGroups + first / units.width;  // 1 over it
      for (int64_t c = 0; c < units.own; c++) {
        mean[c] = group_mean[c / units.width];
        scale[c] = gamma[first + c] * deviation[c / units.width];
      }
      for (int64_t c = 0; c < units.own; c += block)
        gradient_sums<true, false, block>(dy + at + c * pixels, x + at + c * pixels, nullptr, nullptr, pixels, &mean[c],
                                          &scale[c], beta + first + c, betas + c, gammas + c);
      for (int64_t c = 0; c < units.own; c += units.width) {
        const double over = deviation[c / units.width];
        double all_first = 0, all_second = 0;
        for (int64_t k = c; k < c + units.width; k++) {
          all_first += gamma[first + k] * betas[k];
          all_second += gamma[first + k] * gammas[k];
          gammas[k] *= over;
        }
        for (int64_t k = c; k < c + units.width; k++) {
          one[k] = static_cast<float>(over * all_first / count);
          two[k] = static_cast<float>(over * over * over * all_second / count);
        }
      }
      for (int64_t c = 0; c < units.own; c += block)
        gradient_lanes<true, block>(dy + at + c * pixels, x + at + c * pixels, dx + at + c * pixels, pixels, &mean[c],
                                    &scale[c], beta + first + c, &one[c], &two[c]);
    }
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) {
      double all_beta = 0, all_gamma = 0;
      for (int64_t n = 0; n < maps.images; n++) {
        all_beta += of_beta[n * channels + c];
        all_gamma += of_gamma[n * channels + c];
      }
      dbeta[c] = static_cast<float>(all_beta);
      dgamma[c] = static_cast<float>(all_gamma);
    }
  }
  return 0;
}

// means_forward of kernels.cpp
template <int64_t block>
int means_forward_in_blocks(void **p, const Maps &maps) {
  const float *x = static_cast<float *>(p[0]);
  float *y = static_cast<float *>(p[1]);
  const int64_t pixels = maps.size / block;
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.planes(); plane++) {
    double total[block] = {};
    for (int64_t begin = 0; begin < pixels; begin += kRun) {
      const float *from = x + plane * maps.size;
      float sums[block];
      add_up<block>(begin, std::min(begin + kRun, pixels), sums, [=](int64_t i, int64_t k) { return from[i * block + k]; });
      for (int64_t k = 0; k < block; k++) total[k] += sums[k];
    }
    for (int64_t k = 0; k < block; k++) y[plane * block + k] = static_cast<float>(total[k] / static_cast<double>(pixels));
  }
  return 0;
}

// means_backward of kernels.cpp
template <int64_t block>
int means_backward_in_blocks(void **p, const Maps &maps) {
  const float *dy = static_cast<float *>(p[0]);
  float *dx = static_cast<float *>(p[2]);
  const int64_t pixels = maps.size / block;
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < maps.planes(); plane++) {
    float share[block];
    for (int64_t k = 0; k < block; k++) share[k] = dy[plane * block + k] / static_cast<float>(pixels);
    for (int64_t i = 0; i < pixels; i++) std::copy(share, share + block, dx + plane * maps.size + i * block);
  }
  return 0;
}

}  // namespace

#endif
