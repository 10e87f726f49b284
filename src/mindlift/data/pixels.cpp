// What Pillow computes of RGB images, bit for bit, on numpy's arrays: without its copies into and out of images of its own,
// during which no other thread runs. data/pillow.py calls it, and holds it against Pillow when it is loaded.
//
// Images are (h, w, 3) uint8; rows may be apart by more bytes than they have (`stride`). Arithmetic is Pillow's: resizing in
// whole numbers of 22 bits behind the point, transforming in double precision or 16 bits behind the point. So the compiler must
// not contract products and sums (-ffp-contract=off).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

const int kChannels = 3, kLanes = 4;  // lanes: channels and one that is unused, for vector instructions
const int kBits = 22;                 // behind the point, of weights

typedef int32_t Sums __attribute__((vector_size(kLanes * sizeof(int32_t))));
typedef double Values __attribute__((vector_size(kLanes * sizeof(double))));

uint8_t clipped(int32_t sum) { return static_cast<uint8_t>(std::min(255, std::max(0, sum >> kBits))); }

double bilinear(double x) { return x < 1.0 ? 1.0 - x : 0.0; }

double bicubic(double x) {  // Keys 1981 with a = -0.5
  const double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

// The source pixels of each new pixel along a side, and their weights.
struct Taps {
  int most;  // of a pixel
  std::vector<int> first, count;
  std::vector<int32_t> weights;

  // Of the new pixels from, from + 1, ... (`size` of them) of `out` that are made of `in`.
  Taps(int in, int out, int from, int size, bool is_cubic) : first(size), count(size) {
    const double scale = static_cast<double>(in) / out, wide = std::max(scale, 1.0);
    const double support = (is_cubic ? 2.0 : 1.0) * wide, narrow = 1.0 / wide;
    most = static_cast<int>(std::ceil(support)) * 2 + 1;
    weights.assign(static_cast<size_t>(size) * most, 0);
    std::vector<double> found(most);
    for (int i = 0; i < size; i++) {
      const double center = (from + i + 0.5) * scale;
      first[i] = std::max(0, static_cast<int>(center - support + 0.5));
      count[i] = std::min(in, static_cast<int>(center + support + 0.5)) - first[i];
      double total = 0;
      for (int k = 0; k < count[i]; k++) {
        const double x = std::fabs((k + first[i] - center + 0.5) * narrow);
        total += found[k] = is_cubic ? bicubic(x) : bilinear(x);
      }
      for (int k = 0; k < count[i]; k++) {
        const double share = total != 0.0 ? found[k] / total : found[k];
        weights[static_cast<size_t>(i) * most + k] =
            static_cast<int32_t>((share < 0 ? -0.5 : 0.5) + share * (1 << kBits));
      }
    }
  }
};

// `wide` is for the row's pixels.
void resample_row(const uint8_t *row, int width, const Taps &taps, int32_t *wide, uint8_t *found) {
  for (int x = 0; x < width; x++)
    for (int c = 0; c < kChannels; c++) wide[x * kLanes + c] = row[x * kChannels + c];
  for (size_t i = 0; i < taps.first.size(); i++) {
    const int32_t *pixels = wide + static_cast<size_t>(taps.first[i]) * kLanes, *weights = &taps.weights[i * taps.most];
    const int32_t half = 1 << (kBits - 1);
    Sums sums = {half, half, half, half}, pixel;
    for (int k = 0; k < taps.count[i]; k++) {
      std::memcpy(&pixel, pixels + k * kLanes, sizeof(pixel));
      sums += pixel * weights[k];
    }
    for (int c = 0; c < kChannels; c++) found[i * kChannels + c] = clipped(sums[c]);
  }
}

struct Image {
  const uint8_t *pixels;
  int64_t stride;
  int height, width;
  const uint8_t *row(int y) const { return pixels + y * stride; }
  bool has(int x, int y) const { return x >= 0 && x < width && y >= 0 && y < height; }
};

void put(uint8_t *pixel, const uint8_t *value) { std::memcpy(pixel, value, kChannels); }

// Through the middle two of four values, `share` of the way from the second to the third.
Values cubic(const Values *v, double share) {
  const Values two = -v[0] + v[2], three = 2.0 * (v[0] - v[1]) + v[2] - v[3], four = -v[0] + v[1] - v[2] + v[3];
  return v[1] + share * (two + share * (three + share * four));
}

Values linear(const Values &a, const Values &b, double share) { return a + (b - a) * share; }

Values values(const uint8_t *pixel) {
  const Values found = {static_cast<double>(pixel[0]), static_cast<double>(pixel[1]), static_cast<double>(pixel[2]), 0};
  return found;
}

struct Place {  // of a value between pixels: those before it, and how far behind them it is
  int x, y;
  double dx, dy;
};

int inside(int value, int size) { return std::min(size - 1, std::max(0, value)); }

Values cubic_along(const uint8_t *row, const int *x, double dx) {
  if (dx == 0) return values(row + x[1]);
  const Values along[] = {values(row + x[0]), values(row + x[1]), values(row + x[2]), values(row + x[3])};
  return cubic(along, dx);
}

// Rows beyond the border repeat what the row before them gave. Without a share of the way only one row counts.
void cubic_pixel(const Image &image, const Place &at, uint8_t *found) {
  int x[4];
  for (int i = 0; i < 4; i++) x[i] = inside(at.x - 1 + i, image.width) * kChannels;
  Values rows[4];
  if (at.dy == 0) {
    rows[0] = cubic_along(image.row(at.y), x, at.dx);
  } else {
    rows[0] = cubic_along(image.row(inside(at.y - 1, image.height)), x, at.dx);
    for (int i = 1; i < 4; i++) {
      const int y = at.y - 1 + i;
      rows[i] = y >= 0 && y < image.height ? cubic_along(image.row(y), x, at.dx) : rows[i - 1];
    }
    rows[0] = cubic(rows, at.dy);
  }
  for (int c = 0; c < kChannels; c++)
    found[c] = rows[0][c] <= 0 ? 0 : rows[0][c] >= 255 ? 255 : static_cast<uint8_t>(rows[0][c]);
}

void linear_pixel(const Image &image, const Place &at, uint8_t *found) {
  const int left = inside(at.x, image.width) * kChannels, right = inside(at.x + 1, image.width) * kChannels;
  const uint8_t *above = image.row(inside(at.y, image.height));
  Values value = linear(values(above + left), values(above + right), at.dx);
  if (at.y + 1 >= 0 && at.y + 1 < image.height) {
    const uint8_t *below = image.row(at.y + 1);
    value = linear(value, linear(values(below + left), values(below + right), at.dx), at.dy);
  }
  for (int c = 0; c < kChannels; c++) found[c] = static_cast<uint8_t>(value[c]);
}

template <void (*pixel)(const Image &, const Place &, uint8_t *)>
void between(const Image &image, const double *a, uint8_t *found) {
  for (int y = 0; y < image.height; y++) {
    for (int x = 0; x < image.width; x++, found += kChannels) {
      const double across = a[0] * (x + 0.5) + a[1] * (y + 0.5) + a[2];
      const double down = a[3] * (x + 0.5) + a[4] * (y + 0.5) + a[5];
      if (across < 0 || across >= image.width || down < 0 || down >= image.height) continue;
      const double left = std::floor(across - 0.5), top = std::floor(down - 0.5);
      const Place at = {static_cast<int>(left), static_cast<int>(top), across - 0.5 - left, down - 0.5 - top};
      pixel(image, at, found);
    }
  }
}

int fixed(double value) { return static_cast<int>(std::floor(value * 65536.0 + 0.5)); }

void nearest(const Image &image, const double *a, uint8_t *found) {
  int left = fixed(a[2] + a[0] * 0.5 + a[1] * 0.5), top = fixed(a[5] + a[3] * 0.5 + a[4] * 0.5);
  const int right = fixed(a[0]), down_right = fixed(a[3]), left_down = fixed(a[1]), down = fixed(a[4]);
  for (int y = 0; y < image.height; y++, left += left_down, top += down) {
    int across = left, along = top;
    for (int x = 0; x < image.width; x++, found += kChannels, across += right, along += down_right)
      if (image.has(across >> 16, along >> 16)) put(found, image.row(along >> 16) + (across >> 16) * kChannels);
  }
}

bool is_small(const double *a, int x, int y) {  // enough for `nearest`
  return std::fabs(x * a[0] + y * a[1] + a[2]) < 32768.0 && std::fabs(x * a[3] + y * a[4] + a[5]) < 32768.0;
}

bool fits(const Image &image, const double *a) {
  return is_small(a, 0, 0) && is_small(a, image.width, image.height) && is_small(a, 0, image.height) &&
         is_small(a, image.width, 0);
}

}  // namespace

extern "C" {

// `rows` x `columns` from (top, left) on of the image resized to (new_height, new_width): Image.resize, and a crop of it.
void resample(const uint8_t *pixels, int64_t stride, int height, int width, int new_height, int new_width, int top, int left,
              int rows, int columns, int is_cubic, uint8_t *found) {
  const Image image = {pixels, stride, height, width};
  const Taps across(width, new_width, left, columns, is_cubic), down(height, new_height, top, rows, is_cubic);
  const int begin = down.first.front(), end = down.first.back() + down.count.back();
  const int64_t line = static_cast<int64_t>(columns) * kChannels;
  std::vector<int32_t> wide(static_cast<size_t>(width) * kLanes), sums(line);
  std::vector<uint8_t> middle((end - begin) * line);
  for (int y = begin; y < end; y++) resample_row(image.row(y), width, across, wide.data(), &middle[(y - begin) * line]);
  for (int i = 0; i < rows; i++, found += line) {
    std::fill(sums.begin(), sums.end(), 1 << (kBits - 1));
    for (int k = 0; k < down.count[i]; k++) {
      const uint8_t *row = &middle[(down.first[i] + k - begin) * line];
      const int32_t weight = down.weights[static_cast<size_t>(i) * down.most + k];
      for (int64_t x = 0; x < line; x++) sums[x] += row[x] * weight;
    }
    for (int64_t x = 0; x < line; x++) found[x] = clipped(sums[x]);
  }
}

// Image.transform with AFFINE and this matrix (6,) to an image as large, `fill` (3,) beside it; method 0: nearest, 2: bilinear,
// 3: bicubic, as Pillow numbers them. 1 for what is left to Pillow.
int transform(const uint8_t *pixels, int64_t stride, int height, int width, const double *matrix, int method,
              const uint8_t *fill, uint8_t *found) {
  const Image image = {pixels, stride, height, width};
  const bool only_scales = matrix[1] == 0 && matrix[3] == 0;  // which Pillow does otherwise
  if (method != 2 && method != 3 && (method != 0 || only_scales || !fits(image, matrix))) return 1;
  for (int64_t i = 0; i < static_cast<int64_t>(height) * width; i++) put(found + i * kChannels, fill);
  if (method == 0) nearest(image, matrix, found);
  if (method == 2) between<linear_pixel>(image, matrix, found);
  if (method == 3) between<cubic_pixel>(image, matrix, found);
  return 0;
}

// Mode L (height, width): ITU-R BT.601 in whole numbers of 16 bits behind the point.
void luma(const uint8_t *pixels, int64_t stride, int height, int width, uint8_t *found) {
  for (int y = 0; y < height; y++, found += width) {
    const uint8_t *row = pixels + y * stride;
    for (int x = 0; x < width; x++)
      found[x] = static_cast<uint8_t>((row[x * 3] * 19595u + row[x * 3 + 1] * 38470u + row[x * 3 + 2] * 7471u + 32768u) >> 16);
  }
}

// (3, height, width): what `table` (3, 256) has for the values of each channel.
void planes(const uint8_t *pixels, int64_t stride, int height, int width, const float *table, float *found) {
  const int64_t plane = static_cast<int64_t>(height) * width;
  for (int y = 0; y < height; y++, found += width) {
    const uint8_t *row = pixels + y * stride;
    for (int c = 0; c < kChannels; c++)
      for (int x = 0; x < width; x++) found[c * plane + x] = table[c * 256 + row[x * kChannels + c]];
  }
}

}  // extern "C"
