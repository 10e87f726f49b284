// The steps of optimisers, each one pass over gradients, weights and state of all tensors, the norm of all gradients, and the
// average of weights. operators.py has the operators; the interface is that of kernels.cpp. Each value is computed by
// itself, and the norm's sums are added in the order of the blocks, so results don't depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t kBlock = 1 << 14;  // values that a thread takes at once

struct Block {
  int64_t tensor, begin, end;
};

// Of `tensors` tensors, the first ones of `shapes`.
std::vector<Block> blocks_of(int64_t tensors, const int *dimensions, int64_t **shapes) {
  std::vector<Block> blocks;
  for (int64_t tensor = 0; tensor < tensors; tensor++) {
    int64_t size = 1;
    for (int i = 0; i < dimensions[tensor]; i++) size *= shapes[tensor][i];
    for (int64_t begin = 0; begin < size; begin += kBlock) {
      blocks.push_back({tensor, begin, std::min(size, begin + kBlock)});
    }
  }
  return blocks;
}

// What all optimisers are given: `kinds` tensors for each weight (gradients, weights, state), then the settings of each weight
// (weight decay, share of the learning rate) and the numbers of the step, of which the first two are the learning rate and what
// gradients are multiplied by.
struct Given {
  Given(int parameters, void **p, int kinds) : pointers(reinterpret_cast<float **>(p)) {
    tensors = (parameters - 3) / kinds;  // behind them are settings, numbers and the output
    settings = pointers[kinds * tensors];
    numbers = pointers[kinds * tensors + 1];
  }
  float *of(int kind, const Block &block) const { return pointers[kind * tensors + block.tensor]; }
  float decay(const Block &block) const { return settings[2 * block.tensor]; }
  float rate(const Block &block) const { return numbers[0] * settings[2 * block.tensor + 1]; }

  float **pointers;
  int64_t tensors;
  const float *settings, *numbers;
};

// v = momentum * v + g + decay * w, then w -= rate * v, or with `nesterov` w -= rate * (g + decay * w + momentum * v)
template <bool nesterov>
void momentum_block(const Given &given, const Block &block) {
  const float *gradient = given.of(0, block);
  float *weight = given.of(1, block), *moment = given.of(2, block);
  const float decay = given.decay(block), rate = given.rate(block), factor = given.numbers[1], momentum = given.numbers[2];
#pragma omp simd
  for (int64_t i = block.begin; i < block.end; i++) {
    const float slope = gradient[i] * factor + decay * weight[i];
    const float moved = momentum * moment[i] + slope;
    moment[i] = moved;
    weight[i] -= rate * (nesterov ? slope + momentum * moved : moved);
  }
}

// m = b1 * m + (1 - b1) * g, v = b2 * v + (1 - b2) * g * g, w -= rate * ((m / c1) / (sqrt(v / c2) + eps) + decay * w), where c1 and
// c2 correct the bias; without `apart` the decay is a part of g instead
template <bool apart>
void adam_block(const Given &given, const Block &block) {
  const float *gradient = given.of(0, block), *n = given.numbers;
  float *weight = given.of(1, block), *first = given.of(2, block), *second = given.of(3, block);
  const float decay = given.decay(block), rate = given.rate(block), factor = n[1];
  const float beta1 = n[2], rest1 = n[3], beta2 = n[4], rest2 = n[5], epsilon = n[6], correction1 = n[7], correction2 = n[8];
#pragma omp simd
  for (int64_t i = block.begin; i < block.end; i++) {
    const float slope = gradient[i] * factor + (apart ? 0.0f : decay * weight[i]);
    first[i] = beta1 * first[i] + rest1 * slope;
    second[i] = beta2 * second[i] + rest2 * slope * slope;
    const float step = first[i] / correction1 / (std::sqrt(second[i] / correction2) + epsilon);
    weight[i] -= rate * (apart ? step + decay * weight[i] : step);
  }
}

// s = d * s + (1 - d) * g * g, m = momentum * m + rate * g / sqrt(s + eps), w -= m
void rmsprop_block(const Given &given, const Block &block) {
  const float *gradient = given.of(0, block), *n = given.numbers;
  float *weight = given.of(1, block), *square = given.of(2, block), *moment = given.of(3, block);
  const float decay = given.decay(block), rate = given.rate(block), factor = n[1];
  const float kept = n[2], rest = n[3], momentum = n[4], epsilon = n[5];
#pragma omp simd
  for (int64_t i = block.begin; i < block.end; i++) {
    const float slope = gradient[i] * factor + decay * weight[i];
    square[i] = kept * square[i] + rest * slope * slope;
    moment[i] = momentum * moment[i] + rate * slope / std::sqrt(square[i] + epsilon);
    weight[i] -= moment[i];
  }
}

int over_all(int parameters, void **p, int *dimensions, int64_t **shapes, int kinds,
             void (*step)(const Given &, const Block &)) {
  const Given given(parameters, p, kinds);
  const std::vector<Block> blocks = blocks_of(given.tensors, dimensions, shapes);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < static_cast<int64_t>(blocks.size()); i++) step(given, blocks[i]);
  given.pointers[parameters - 1][0] = given.numbers[0];
  return 0;
}

}  // namespace

#define OPTIMIZER(name, kinds, step)                                                                             \
  extern "C" int name(int parameters, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) { \
    return over_all(parameters, p, dimensions, shapes, kinds, step);                                             \
  }

OPTIMIZER(momentum_step, 3, momentum_block<false>)
OPTIMIZER(nesterov_step, 3, momentum_block<true>)
OPTIMIZER(adam_step, 4, adam_block<false>)
OPTIMIZER(adamw_step, 4, adam_block<true>)
OPTIMIZER(rmsprop_step, 4, rmsprop_block)

// gradients -> (1,), the root of the sum of all their squares
extern "C" int norm_of_all(int parameters, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  const std::vector<Block> blocks = blocks_of(parameters - 1, dimensions, shapes);
  std::vector<double> sums(blocks.size());
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < static_cast<int64_t>(blocks.size()); at++) {
    const float *values = static_cast<float *>(p[blocks[at].tensor]);
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = blocks[at].begin; i < blocks[at].end; i++) total += static_cast<double>(values[i]) * values[i];
    sums[at] = total;
  }
  double total = 0;
  for (const double each : sums) total += each;
  static_cast<float *>(p[parameters - 1])[0] = static_cast<float>(std::sqrt(total));
  return 0;
}

// shadows, weights, numbers (share, whether shadows are to be the weights) -> share; shadow += share * (weight - shadow)
extern "C" int average_step(int parameters, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  const int64_t tensors = (parameters - 2) / 2;
  const float *numbers = static_cast<float *>(p[2 * tensors]);
  const float share = numbers[0];
  const bool is_early = numbers[1] > 0;
  const std::vector<Block> blocks = blocks_of(tensors, dimensions, shapes);
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < static_cast<int64_t>(blocks.size()); at++) {
    const Block &block = blocks[at];
    float *shadow = static_cast<float *>(p[block.tensor]);
    const float *weight = static_cast<float *>(p[tensors + block.tensor]);
    if (is_early) {
      std::copy(weight + block.begin, weight + block.end, shadow + block.begin);
      continue;
    }
#pragma omp simd
    for (int64_t i = block.begin; i < block.end; i++) shadow[i] += share * (weight[i] - shadow[i]);
  }
  static_cast<float *>(p[parameters - 1])[0] = share;
  return 0;
}
