// Pools: of maps in blocks of channels by oneDNN, with gradients by loops here, and the max-pool of 3x3 with stride 2 of plain maps,
// too.
//
// For plain maps that are large oneDNN 2.2 and MindSpore have no compiled pool of their own: theirs take 5 to 10 times as long.
// Of several greatest values in a window the first one gets its gradient.

#include "onednn.h"

#include <cmath>

namespace {

// x -> y; numbers: kernel, stride (height, width), padding (top, bottom, left, right; all -1: as much as y needs)
int pooled(int algorithm, void **p, int *dimensions, int64_t **shapes) {
  try {
    const Maps x = maps_of(dimensions, shapes, 0), y = maps_of(dimensions, shapes, 2);
    const float *numbers = static_cast<float *>(p[1]);
    std::vector<int64_t> kernel, strides, begin, end, key = {algorithm};
    for (int i = 0; i < 2; i++) {
      kernel.push_back(static_cast<int64_t>(numbers[i]));
      strides.push_back(static_cast<int64_t>(numbers[2 + i]));
      const Margins margins(numbers[4 + 2 * i], numbers[5 + 2 * i], x.shape[2 + i], y.shape[2 + i], strides[i], kernel[i]);
      begin.push_back(margins.before);
      end.push_back(margins.after);
    }
    const Desc from(x.shape, x.tag()), to(y.shape, y.tag());
    for (const auto &part : {x.shape, y.shape, kernel, strides, begin, end}) key.insert(key.end(), part.begin(), part.end());
    key.insert(key.end(), {x.block, y.block});
    const Handle made = kept(key, [&] {
      std::vector<char> operation(32768);  // dnnl_pooling_desc_t has 2560 bytes
      void *desc = nullptr;
      must(dnnl_pooling_forward_desc_init(operation.data(), kInference, algorithm, from.bytes, to.bytes, strides.data(),
                                          kernel.data(), begin.data(), end.data()));
      must(dnnl_primitive_desc_create(&desc, operation.data(), nullptr, engine(), nullptr));
      return primitive(Handle(desc, dnnl_primitive_desc_destroy));
    });
    const Memory source(from.bytes, static_cast<float *>(p[0])), target(to.bytes, static_cast<float *>(p[2]));
    run(made.get(), {{kX, source.made}, {kY, target.made}});
    return 0;
  } catch (const Failed &) {
    return 1;
  }
}

// A NaN stays one
inline bool is_greater(float value, float than) { return value > than || value != value; }

// The windows of an axis
struct Windows {
  int64_t window, stride, before, size;  // `before`: padding in front of the `size` pixels
  int64_t begin(int64_t place) const { return std::max<int64_t>(place * stride - before, 0); }
  int64_t end(int64_t place) const { return std::min(place * stride - before + window, size); }
};

enum PoolKind { kGreatest, kGreatestOrZero, kMean };  // the second: a window over the edge sees zeros there

// Add to dx what the window [top, bottom) x [left, right) passes on of `dy`
template <PoolKind kind, int64_t block>
void pass_on(const float *x, const float *dy, float *dx, int64_t top, int64_t bottom, int64_t left, int64_t right,
             int64_t width, bool is_over_edge) {
  if (kind == kMean) {
    const float share = 1.0f / static_cast<float>((bottom - top) * (right - left));
    for (int64_t i = top; i < bottom; i++)
      for (int64_t j = left; j < right; j++) {
#pragma omp simd
        for (int64_t k = 0; k < block; k++) dx[(i * width + j) * block + k] += dy[k] * share;
      }
    return;
  }
  float best[block];
  int32_t place[block];
  const bool has_zero = kind == kGreatestOrZero && is_over_edge;
  std::fill(best, best + block, has_zero ? 0.0f : -INFINITY);
  std::fill(place, place + block, has_zero ? -1 : static_cast<int32_t>(top * width + left));
  for (int64_t i = top; i < bottom; i++) {
    for (int64_t j = left; j < right; j++) {
      const int32_t pixel = static_cast<int32_t>(i * width + j);
#pragma omp simd
      for (int64_t k = 0; k < block; k++) {
        const float value = x[pixel * block + k];
        const bool wins = is_greater(value, best[k]);
        best[k] = wins ? value : best[k];
        place[k] = wins ? pixel : place[k];
      }
    }
  }
  for (int64_t k = 0; k < block; k++)
    if (place[k] >= 0) dx[place[k] * block + k] += dy[k];
}

// The gradient of a pool of maps in blocks, by those of its outputs
template <PoolKind kind, int64_t block>
void pool_gradient(const float *x, const float *dy, float *dx, int64_t planes, const Windows &rows, const Windows &columns,
                   int64_t high, int64_t wide) {
  const int64_t size = rows.size * columns.size * block, whole = rows.window * columns.window;
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < planes; plane++) {
    float *to = dx + plane * size;
    std::fill(to, to + size, 0.0f);
    for (int64_t i = 0; i < high; i++)
      for (int64_t j = 0; j < wide; j++) {
        const int64_t top = rows.begin(i), bottom = rows.end(i), left = columns.begin(j), right = columns.end(j);
        pass_on<kind, block>(x + plane * size, dy + ((plane * high + i) * wide + j) * block, to, top, bottom, left, right,
                             columns.size, (bottom - top) * (right - left) < whole);
      }
  }
}

template <PoolKind kind>
int pool_gradient_in_blocks(void **p, int64_t **shapes, const Windows &rows, const Windows &columns) {
  const int64_t *of_dy = shapes[0], *of_x = shapes[1], planes = of_x[0] * of_x[1];
  const float *dy = static_cast<float *>(p[0]), *x = static_cast<float *>(p[1]);
  (of_x[4] == 16 ? pool_gradient<kind, 16> : pool_gradient<kind, 8>)(x, dy, static_cast<float *>(p[3]), planes, rows,
                                                                      columns, of_dy[2], of_dy[3]);
  return 0;
}

// dy, x, numbers as of `pooled` -> dx
template <PoolKind kind>
int pooled_gradient(void **p, int64_t **shapes) {
  const float *numbers = static_cast<float *>(p[2]);
  Windows found[2];
  for (int i = 0; i < 2; i++) {
    const int64_t window = static_cast<int64_t>(numbers[i]), stride = static_cast<int64_t>(numbers[2 + i]);
    const int64_t size = shapes[1][2 + i];
    const Margins margins(numbers[4 + 2 * i], numbers[5 + 2 * i], size, shapes[0][2 + i], stride, window);
    found[i] = {window, stride, margins.before, size};
  }
  return pool_gradient_in_blocks<kind>(p, shapes, found[0], found[1]);
}

// Max-pool of 3x3 with stride 2, as it is or behind a border of zeros
struct Pool {
  int64_t planes, height, width, border;  // of what comes in; pixels on each side

  Pool(const int64_t *shape, const void *numbers)
      : planes(shape[0] * shape[1]), height(shape[2]), width(shape[3]), border(static_cast<const float *>(numbers)[0] > 0) {}
  int64_t high() const { return (height + 2 * border - 3) / 2 + 1; }
  int64_t wide() const { return (width + 2 * border - 3) / 2 + 1; }
  // Of an axis with `size` pixels: where the window at `place` begins and ends, without the border
  int64_t begin(int64_t place) const { return std::max<int64_t>(2 * place - border, 0); }
  int64_t end(int64_t place, int64_t size) const { return std::min(2 * place - border + 3, size); }
};

// The greatest value of each column of the rows [top, bottom), and its row
void greatest_of_columns(const float *x, int64_t top, int64_t bottom, int64_t width, float *best, int32_t *row) {
  for (int64_t j = 0; j < width; j++) best[j] = x[top * width + j];
  std::fill(row, row + width, static_cast<int32_t>(top));
  for (int64_t i = top + 1; i < bottom; i++) {
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
      const float value = x[i * width + j];
      const bool wins = is_greater(value, best[j]);
      best[j] = wins ? value : best[j];
      row[j] = wins ? static_cast<int32_t>(i) : row[j];
    }
  }
}

// For each window of plain maps: use(plane, place, the greatest value, its pixel or -1 for a zero of the border)
template <typename Use>
void each_window(const float *x, const Pool &pool, Use use) {
#pragma omp parallel
  {
    std::vector<float> best(pool.width);
    std::vector<int32_t> row(pool.width);
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < pool.planes; plane++) {
      for (int64_t i = 0; i < pool.high(); i++) {
        const int64_t top = pool.begin(i), bottom = pool.end(i, pool.height);
        greatest_of_columns(x + plane * pool.height * pool.width, top, bottom, pool.width, best.data(), row.data());
        for (int64_t j = 0; j < pool.wide(); j++) {
          const int64_t left = pool.begin(j), right = pool.end(j, pool.width);
          float value = best[left];
          int64_t column = left;
          for (int64_t k = left + 1; k < right; k++) {
            column = is_greater(best[k], value) ? k : column;
            value = is_greater(best[k], value) ? best[k] : value;
          }
          const bool is_border = (bottom - top) * (right - left) < 9 && value <= 0;
          use(plane, i * pool.wide() + j, is_border ? 0.0f : value, is_border ? -1 : row[column] * pool.width + column);
        }
      }
    }
  }
}

int pool_plain(void **p, const Pool &pool) {
  float *y = static_cast<float *>(p[2]);
  const int64_t places = pool.high() * pool.wide();
  each_window(static_cast<float *>(p[0]), pool,
              [=](int64_t plane, int64_t place, float value, int64_t) { y[plane * places + place] = value; });
  return 0;
}

// dy, x, numbers -> dx, where one of the greatest values gets what its window is given
int pool_backward(void **p, const Pool &pool) {
  const float *dy = static_cast<float *>(p[0]);
  float *dx = static_cast<float *>(p[3]);
  const int64_t places = pool.high() * pool.wide(), size = pool.height * pool.width;
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < pool.planes; plane++) std::fill(dx + plane * size, dx + (plane + 1) * size, 0.0f);
  each_window(static_cast<float *>(p[1]), pool, [=](int64_t plane, int64_t place, float, int64_t pixel) {
    if (pixel >= 0) dx[plane * size + pixel] += dy[plane * places + place];
  });
  return 0;
}

template <int64_t block>
int pool_in_blocks(void **p, const Pool &pool) {
  const float *x = static_cast<float *>(p[0]);
  float *y = static_cast<float *>(p[2]);
#pragma omp parallel for schedule(static) collapse(2)
  for (int64_t plane = 0; plane < pool.planes; plane++) {
    for (int64_t i = 0; i < pool.high(); i++) {
      const float *from = x + plane * pool.height * pool.width * block;
      const int64_t top = pool.begin(i), bottom = pool.end(i, pool.height);
      for (int64_t j = 0; j < pool.wide(); j++) {
        const int64_t left = pool.begin(j), right = pool.end(j, pool.width);
        float best[block];
        std::fill(best, best + block, (bottom - top) * (right - left) < 9 ? 0.0f : -INFINITY);
        for (int64_t row = top; row < bottom; row++) {
          for (int64_t column = left; column < right; column++) {
#pragma omp simd
            for (int64_t k = 0; k < block; k++) {
              const float value = from[(row * pool.width + column) * block + k];
              best[k] = is_greater(value, best[k]) ? value : best[k];
            }
          }
        }
        std::copy(best, best + block, y + ((plane * pool.high() + i) * pool.wide() + j) * block);
      }
    }
  }
  return 0;
}

}  // namespace

// x, numbers -> the greatest, or the mean of what is no padding, in each window
OPERATOR(max_pool) { return pooled(kMaximum, p, dimensions, shapes); }
OPERATOR(average_pool) { return pooled(kAverage, p, dimensions, shapes); }
// dy, x, numbers -> dx, of maps in blocks
OPERATOR(max_pool_gradient) { return pooled_gradient<kGreatest>(p, shapes); }
OPERATOR(average_pool_gradient) { return pooled_gradient<kMean>(p, shapes); }

// x, numbers (1,) -> y; numbers: whether there is a border of zeros
OPERATOR(pool_3x3) {
  const Pool pool(shapes[0], p[1]);
  if (dimensions[0] != 5) return pool_plain(p, pool);
  return shapes[0][4] == 16 ? pool_in_blocks<16>(p, pool) : pool_in_blocks<8>(p, pool);
}
// dy, x, numbers -> dx
OPERATOR(pool_3x3_gradient) {
  const Pool pool(shapes[1], p[2]);
  if (dimensions[1] != 5) return pool_backward(p, pool);
  const Windows rows = {3, 2, pool.border, pool.height}, columns = {3, 2, pool.border, pool.width};
  return pool_gradient_in_blocks<kGreatestOrZero>(p, shapes, rows, columns);
}
