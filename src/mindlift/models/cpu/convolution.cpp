// Convolutions by the oneDNN that MindSpore brings, in the memory formats that oneDNN itself would choose.
//
// MindSpore gives oneDNN plain (N, C, H, W) maps, for which oneDNN unfolds the images into a matrix (im2col). For maps in blocks
// of channels (nChw16c) it has compiled kernels that are 1.3 to 4 times as fast for kernels larger than 1x1, the copies from and to
// plain maps included. The interface is that of kernels.cpp.
//
// Maps may stay in blocks from one operator to the next: (N, C / b, H, W, b) to MindSpore, where b is what block_of_channels()
// gives. Each operator sees by the number of dimensions which of the two it is given or has to make.

#include "onednn.h"

extern "C" {
// of kernels.cpp
int bias(int, void **, int *, int64_t **, const char **, void *, void *);
int bias_relu(int, void **, int *, int64_t **, const char **, void *, void *);
int bias_add_relu(int, void **, int *, int64_t **, const char **, void *, void *);
}

namespace {

// Plain maps whose channels don't fill the last block, and the same maps in blocks with zeros behind: oneDNN 2.2 has no compiled
// copy of these.
class Filling {
 public:
  Filling() = default;
  Filling(const std::vector<int64_t> &shape, int64_t block)
      : channels_(shape[1]), pixels_(shape[2] * shape[3]), block_(block), per_image_((shape[1] + block - 1) / block),
        planes_(shape[0] * per_image_) {}
  bool serves() const { return block_ != 0; }

  void to_blocks(const float *maps, float *blocks) const {
    each_plane([=](int64_t channel, int64_t plain, int64_t begin, int64_t end, int64_t place) {
      for (int64_t k = 0; k < block_; k++)
        for (int64_t i = begin; i < end; i++)
          blocks[place + i * block_ + k] = channel + k < channels_ ? maps[plain + k * pixels_ + i] : 0.0f;
    });
  }

  void to_maps(const float *blocks, float *maps) const {
    each_plane([=](int64_t channel, int64_t plain, int64_t begin, int64_t end, int64_t place) {
      for (int64_t k = 0; k < std::min(block_, channels_ - channel); k++)
        for (int64_t i = begin; i < end; i++) maps[plain + k * pixels_ + i] = blocks[place + i * block_ + k];
    });
  }

 private:
  // copies(first channel, place of its map, pixels [begin, end), place of the block)
  template <typename Copy>
  void each_plane(Copy copies) const {
    constexpr int64_t run = 256;  // pixels that stay in the fastest cache
#pragma omp parallel for schedule(static) if (planes_ * pixels_ > 2048)
    for (int64_t plane = 0; plane < planes_; plane++) {
      const int64_t channel = plane % per_image_ * block_, plain = (plane / per_image_ * channels_ + channel) * pixels_;
      for (int64_t begin = 0; begin < pixels_; begin += run)
        copies(channel, plain, begin, std::min(begin + run, pixels_), plane * pixels_ * block_);
    }
  }

  int64_t channels_ = 0, pixels_ = 0, block_ = 0, per_image_ = 0, planes_ = 0;
};

// An array that a convolution reads or writes: as MindSpore holds it, and as the convolution wants it.
struct Operand {
  int argument;
  bool is_output;
  Desc held;
  const void *wanted = nullptr;  // lives as long as the convolution
  Handle copy;                   // the primitive that copies, if the two differ
  Handle fill;                   // the one for an output to which something is added
  std::vector<int64_t> plain;    // the shape of plain maps, or nothing
  Filling filling;               // copies in place of `copy`

  Operand(int argument, bool is_output, const std::vector<int64_t> &shape)
      : argument(argument), is_output(is_output), held(shape, Desc::plain(shape)) {}
  Operand(int argument, bool is_output, const Maps &maps)
      : argument(argument), is_output(is_output), held(maps.shape, maps.tag()) {
    if (maps.block == 0) plain = maps.shape;
  }

  void want(const void *desc) {
    wanted = desc;
    if (dnnl_memory_desc_equal(held.bytes, wanted) != 0) return;
    copy = is_output ? reorder(wanted, held.bytes) : reorder(held.bytes, wanted);
    if (is_output) fill = reorder(held.bytes, wanted);
    for (const int64_t block : {16, 8})
      if (!plain.empty() && plain[1] % block != 0 &&
          dnnl_memory_desc_equal(Desc(plain, block == 16 ? kBlocksOf16 : kBlocksOf8).bytes, wanted) != 0)
        filling = Filling(plain, block);
  }

  size_t size() const { return dnnl_memory_desc_get_size(held.bytes); }
};

// An operand with its data, for one computation
class Bound {
 public:
  Bound(const Operand &operand, float *data) : operand_(operand), data_(data), held_(operand.held.bytes, data) {
    if (operand.copy == nullptr) return;
    buffer_ = buffers().take(dnnl_memory_desc_get_size(operand.wanted));
    wanted_ = new Memory(operand.wanted, buffer_);
    if (operand.is_output) return;
    if (operand.filling.serves())
      operand.filling.to_blocks(data, buffer_);
    else
      run(operand.copy.get(), {{kX, held_.made}, {kY, wanted_->made}});
  }
  ~Bound() {
    delete wanted_;
    if (buffer_ != nullptr) buffers().give_back(buffer_);
  }
  Bound(const Bound &) = delete;
  Bound &operator=(const Bound &) = delete;

  dnnl_exec_arg_t argument() const { return {operand_.argument, wanted_ == nullptr ? held_.made : wanted_->made}; }
  void finish() const {
    if (operand_.copy == nullptr || !operand_.is_output) return;
    if (operand_.filling.serves())
      operand_.filling.to_maps(buffer_, data_);
    else
      run(operand_.copy.get(), {{kX, wanted_->made}, {kY, held_.made}});
  }
  // Let the output begin as `values`, held like it; `data` is where it is to be
  void begin_as(float *values, float *data) const {
    if (operand_.fill == nullptr) {
      std::memcpy(data, values, operand_.size());
    } else {
      const Memory from(operand_.held.bytes, values);
      run(operand_.fill.get(), {{kX, from.made}, {kY, wanted_->made}});
    }
  }

 private:
  const Operand &operand_;
  float *data_;
  Memory held_;
  float *buffer_ = nullptr;
  Memory *wanted_ = nullptr;
};

enum Kind { kComputes, kOfData, kOfWeights };

struct Tail {  // what is added behind a convolution at inference
  float *bias = nullptr, *other = nullptr;
  bool relu = false;
  int64_t key() const { return (bias != nullptr) + 2 * (other != nullptr) + 4 * relu; }
};

struct Geometry {
  Maps of_x, of_y;
  std::vector<int64_t> x, weight, y, strides, dilations, begin, end;

  // numbers: stride, dilation (height, width), padding (top, bottom, left, right; all -1: as much as y needs), groups
  Geometry(const Maps &maps, const std::vector<int64_t> &of_weight, const Maps &made, const float *numbers)
      : of_x(maps), of_y(made), x(maps.shape), weight(of_weight), y(made.shape) {
    const int64_t groups = static_cast<int64_t>(numbers[8]);
    if (groups > 1) weight = {groups, of_weight[0] / groups, of_weight[1], of_weight[2], of_weight[3]};
    for (int i = 0; i < 2; i++) {
      const int64_t stride = static_cast<int64_t>(numbers[i]), dilation = static_cast<int64_t>(numbers[2 + i]);
      const Margins margins(numbers[4 + 2 * i], numbers[5 + 2 * i], x[2 + i], y[2 + i], stride,
                            (of_weight[2 + i] - 1) * dilation + 1);
      strides.push_back(stride);
      dilations.push_back(dilation - 1);
      begin.push_back(margins.before);
      end.push_back(margins.after);
    }
  }

  std::vector<int64_t> key(Kind kind, const Tail &tail) const {
    std::vector<int64_t> all = {kind, tail.key(), static_cast<int64_t>(weight.size()), of_x.block, of_y.block};
    for (const auto *part : {&x, &weight, &y, &strides, &dilations, &begin, &end})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }

  // The formats of the maps. A 1x1 convolution of plain ones is a product of matrices as it stands, unless they are tiny.
  int format() const {
    if (of_x.block != 0 || of_y.block != 0) return kAny;
    const size_t height = weight.size() - 2;
    return weight[height] * weight[height + 1] == 1 && y[2] * y[3] > 100 ? kPlain : kAny;
  }
};

// One convolution of oneDNN, or one of its gradients, made for a geometry and kept
class Convolution {
 public:
  Convolution(Kind kind, const Geometry &of, const Tail &tail)
      : x_(kX + (kind == kOfData ? kOfGradient : 0), kind == kOfData, of.of_x),
        weight_(kWeight + (kind == kOfWeights ? kOfGradient : 0), kind == kOfWeights, of.weight),
        y_(kY + (kind == kComputes ? 0 : kOfGradient), kind == kComputes, of.of_y),
        bias_(kBias, false, std::vector<int64_t>{of.y[1]}),
        shape_(of.y) {
    desc_ = described(kind, of, tail);
    const void *desc = desc_.get();
    x_.want(dnnl_primitive_desc_query_md(desc, kFormatOfX + (kind == kOfData), 0));
    weight_.want(dnnl_primitive_desc_query_md(desc, kFormatOfWeight + (kind == kOfWeights), 0));
    y_.want(dnnl_primitive_desc_query_md(desc, kFormatOfY + (kind != kComputes), 0));
    primitive_ = primitive(desc_);
  }

  void compute(float *x, float *weight, float *y, const Tail &tail) const {
    const Bound bx(x_, x), bw(weight_, weight), by(y_, y), bb(bias_, tail.bias);
    if (tail.other != nullptr) by.begin_as(tail.other, y);
    std::vector<dnnl_exec_arg_t> arguments = {bx.argument(), bw.argument(), by.argument()};
    if (tail.bias != nullptr) arguments.push_back(bb.argument());
    run(primitive_.get(), arguments);
    for (const Bound *each : {&bx, &bw, &by}) each->finish();
  }

  // Of its output, 0 for another format
  int block() const {
    for (const int tag : {kBlocksOf16, kBlocksOf8})
      if (dnnl_memory_desc_equal(Desc(shape_, tag).bytes, y_.wanted) != 0) return tag == kBlocksOf16 ? 16 : 8;
    return 0;
  }

 private:
  Handle described(Kind kind, const Geometry &of, const Tail &tail) const {
    const Desc x(of.x, of.format()), weight(of.weight, kAny), y(of.y, of.format());
    std::vector<char> operation(32768);  // dnnl_convolution_desc_t has 5976 bytes
    void *forward = nullptr, *desc = nullptr;
    const int64_t *strides = of.strides.data(), *dilations = of.dilations.data(), *begin = of.begin.data(),
                  *end = of.end.data();
    // Always in training: at inference oneDNN takes other 1x1 convolutions, whose weights it copies value by value.
    must(dnnl_dilated_convolution_forward_desc_init(operation.data(), kTraining, kDirect, x.bytes, weight.bytes,
                                                    tail.bias == nullptr ? nullptr : bias_.held.bytes, y.bytes, strides,
                                                    dilations, begin, end));
    must(dnnl_primitive_desc_create(&forward, operation.data(), attributes(tail).get(), engine(), nullptr));
    const Handle hint(forward, dnnl_primitive_desc_destroy);
    if (kind == kComputes) return hint;
    if (kind == kOfData)
      must(dnnl_dilated_convolution_backward_data_desc_init(operation.data(), kDirect, x.bytes, weight.bytes, y.bytes,
                                                            strides, dilations, begin, end));
    else
      must(dnnl_dilated_convolution_backward_weights_desc_init(operation.data(), kDirect, x.bytes, weight.bytes, nullptr,
                                                               y.bytes, strides, dilations, begin, end));
    must(dnnl_primitive_desc_create(&desc, operation.data(), nullptr, engine(), forward));
    return Handle(desc, dnnl_primitive_desc_destroy);
  }

  static Handle attributes(const Tail &tail) {
    if (tail.other == nullptr && !tail.relu) return nullptr;
    void *made = nullptr, *operations = nullptr;
    must(dnnl_primitive_attr_create(&made));
    const Handle all(made, dnnl_primitive_attr_destroy);
    must(dnnl_post_ops_create(&operations));
    const Handle behind(operations, dnnl_post_ops_destroy);
    if (tail.other != nullptr) must(dnnl_post_ops_append_sum(operations, 1.0f));
    if (tail.relu) must(dnnl_post_ops_append_eltwise(operations, 1.0f, kReLU, 0.0f, 0.0f));
    must(dnnl_primitive_attr_set_post_ops(made, operations));
    return all;
  }

  Operand x_, weight_, y_, bias_;
  std::vector<int64_t> shape_;
  Handle desc_, primitive_;
};

std::shared_ptr<const Convolution> made(Kind kind, const Geometry &geometry, const Tail &tail) {
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, std::shared_ptr<const Convolution>> known;
  const std::lock_guard<std::mutex> locked(mutex);
  if (known.size() > kKept) known.clear();
  std::shared_ptr<const Convolution> &found = known[geometry.key(kind, tail)];
  if (!found) found = std::make_shared<const Convolution>(kind, geometry, tail);
  return found;
}

// Of a dilated convolution, and of any on a tiny map, many weights see nothing but padding: the weight (i, j), moved over the map,
// meets a rectangle of it only. So each is a product of matrices over that rectangle, and no padding is multiplied.
struct Span {  // of an axis: outputs [begin, begin + length) see the inputs that are `shift` further
  int64_t begin, length, shift;
  Span(int64_t input, int64_t output, int64_t shift) : shift(shift) {
    begin = shift < 0 ? -shift : 0;
    const int64_t end = output < input - shift ? output : input - shift;
    length = end > begin ? end - begin : 0;
  }
};

class Rectangles {
 public:
  explicit Rectangles(const Geometry &of) : of_(of) {}

  // Whether they are worth it: at a stride of 1, and where a quarter of all products is padding, a sixth for the weights' gradient
  bool serve(Kind kind) const {
    if (of_.weight.size() != 4 || of_.strides[0] != 1 || of_.strides[1] != 1) return false;
    double seen = 1;
    for (int axis = 0; axis < 2; axis++) {
      int64_t total = 0;
      for (int64_t i = 0; i < of_.weight[2 + axis]; i++) total += span(axis, i).length;
      seen *= static_cast<double>(total) / static_cast<double>(of_.weight[2 + axis] * of_.y[2 + axis]);
    }
    return seen < (kind == kOfWeights ? 5.0 / 6.0 : 0.75);
  }

  void compute(Kind kind, float *x, float *weight, float *y) const {
    const int64_t cin = of_.x[1], cout = of_.y[1], high = of_.weight[2], wide = of_.weight[3];
    const int64_t step = high * wide, values = cin * cout;
    const Scratch matrices(step * values), of_x(cin * most()), of_y(cout * most());
    if (kind != kOfWeights) transpose(weight, matrices.data, values, step);
    if (kind != kOfWeights) clear(kind == kOfData ? x : y, kind == kOfData ? of_.x : of_.y);
    for (int64_t i = 0; i < high; i++) {
      for (int64_t j = 0; j < wide; j++) {
        const Span rows = span(0, i), columns = span(1, j);
        const int64_t pixels = of_.x[0] * rows.length * columns.length;
        float *matrix = matrices.data + (i * wide + j) * values;
        if (pixels == 0) {
          if (kind == kOfWeights) std::fill(matrix, matrix + values, 0.0f);
          continue;
        }
        if (kind != kOfData) gather(x, of_.x, rows, columns, true, of_x.data);
        if (kind != kComputes) gather(y, of_.y, rows, columns, false, of_y.data);
        if (kind == kComputes) {
          multiply('N', 'N', cout, pixels, cin, matrix, of_x.data, of_y.data);
          add(of_y.data, of_.y, rows, columns, false, y);
        } else if (kind == kOfData) {
          multiply('T', 'N', cin, pixels, cout, matrix, of_y.data, of_x.data);
          add(of_x.data, of_.x, rows, columns, true, x);
        } else {
          multiply('N', 'T', cout, cin, pixels, of_y.data, of_x.data, matrix);
        }
      }
    }
    if (kind == kOfWeights) transpose(matrices.data, weight, step, values);
  }

 private:
  struct Scratch {
    explicit Scratch(int64_t count) : data(buffers().take(static_cast<size_t>(count) * sizeof(float))) {}
    ~Scratch() { buffers().give_back(data); }
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    float *data;
  };

  Span span(int axis, int64_t place) const {
    return Span(of_.x[2 + axis], of_.y[2 + axis], place * (of_.dilations[axis] + 1) - of_.begin[axis]);
  }

  int64_t most() const { return of_.y[0] * of_.y[2] * of_.y[3]; }  // outputs that a rectangle can have

  static void clear(float *to, const std::vector<int64_t> &shape) {
    std::fill(to, to + shape[0] * shape[1] * shape[2] * shape[3], 0.0f);
  }

  // from (rows, columns) to (columns, rows)
  static void transpose(const float *from, float *to, int64_t rows, int64_t columns) {
    constexpr int64_t side = 64;  // of a tile, which stays in the cache
#pragma omp parallel for schedule(static) collapse(2)
    for (int64_t top = 0; top < rows; top += side)
      for (int64_t left = 0; left < columns; left += side)
        for (int64_t c = left; c < std::min(left + side, columns); c++)
          for (int64_t r = top; r < std::min(top + side, rows); r++) to[c * rows + r] = from[r * columns + c];
  }

  // The row-major product c (m, n) = a (m, k) b (k, n), where 'T' says that a or b is stored as its transpose
  static void multiply(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                       float *c) {
    must(dnnl_threadpool_interop_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, transpose_a == 'T' ? m : k, b,
                                       transpose_b == 'T' ? k : n, 0.0f, c, n, threads()));
  }

  // A rectangle of maps (N, C, H, W), as rows of a matrix (C, N * height * width); `shifted`: of the inputs
  template <typename Row>
  static void each_row(const std::vector<int64_t> &shape, const Span &rows, const Span &columns, bool shifted, Row row) {
    const int64_t top = rows.begin + (shifted ? rows.shift : 0), left = columns.begin + (shifted ? columns.shift : 0);
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < shape[1]; c++)
      for (int64_t n = 0; n < shape[0]; n++)
        for (int64_t h = 0; h < rows.length; h++)
          row(((n * shape[1] + c) * shape[2] + top + h) * shape[3] + left,
              ((c * shape[0] + n) * rows.length + h) * columns.length, columns.length);
  }

  static void gather(const float *maps, const std::vector<int64_t> &shape, const Span &rows, const Span &columns,
                     bool shifted, float *matrix) {
    each_row(shape, rows, columns, shifted, [=](int64_t from, int64_t to, int64_t count) {
      for (int64_t k = 0; k < count; k++) matrix[to + k] = maps[from + k];
    });
  }

  static void add(const float *matrix, const std::vector<int64_t> &shape, const Span &rows, const Span &columns,
                  bool shifted, float *maps) {
    each_row(shape, rows, columns, shifted, [=](int64_t to, int64_t from, int64_t count) {
      for (int64_t k = 0; k < count; k++) maps[to + k] += matrix[from + k];
    });
  }

  const Geometry &of_;
};

std::vector<int64_t> shape(int *dimensions, int64_t **shapes, int position) {
  return std::vector<int64_t>(shapes[position], shapes[position] + dimensions[position]);
}

// The copy of maps from one format to another
void copy(const Maps &from, float *x, const Maps &to, float *y) {
  const Desc one(from.shape, from.tag()), other(to.shape, to.tag());
  std::vector<int64_t> key = {0, from.block, to.block};
  key.insert(key.end(), from.shape.begin(), from.shape.end());
  const Handle copies = kept(key, [&] { return reorder(one.bytes, other.bytes); });
  const Memory source(one.bytes, x), target(other.bytes, y);
  run(copies.get(), {{kX, source.made}, {kY, target.made}});
}

// Maps with blocks of so many channels, 0 for none, whatever format they are held in
class InFormat {
 public:
  InFormat(const Maps &held, float *data, int64_t block, bool is_read = true)
      : data(data), held_(held), original_(data), wanted_(held) {
    wanted_.block = block;
    if (held_.block == block || data == nullptr) return;
    const Desc desc(wanted_.shape, wanted_.tag());
    this->data = buffers().take(dnnl_memory_desc_get_size(desc.bytes));
    if (is_read) copy(held_, original_, wanted_, this->data);
  }
  ~InFormat() {
    if (data != original_) buffers().give_back(data);
  }
  InFormat(const InFormat &) = delete;
  InFormat &operator=(const InFormat &) = delete;

  void finish() const {
    if (data != original_) copy(wanted_, data, held_, original_);
  }
  float *data;

 private:
  Maps held_;
  float *original_;
  Maps wanted_;
};

// y (N, C, H, W), plain
void add_tail(float *y, const Tail &tail, const std::vector<int64_t> &of) {
  if (tail.bias == nullptr && tail.other != nullptr) {
    const int64_t count = of[0] * of[1] * of[2] * of[3];
    const float *other = tail.other;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) y[i] += other[i];
    return;
  }
  int dimensions[] = {static_cast<int>(of.size())};
  std::vector<int64_t> plain = of;
  int64_t *shape[] = {plain.data()};
  void *p[] = {y, tail.bias, y}, *with_other[] = {y, tail.bias, tail.other, y};
  if (tail.other != nullptr)
    bias_add_relu(4, with_other, dimensions, shape, nullptr, nullptr, nullptr);
  else if (tail.bias != nullptr)
    (tail.relu ? bias_relu : bias)(3, p, dimensions, shape, nullptr, nullptr, nullptr);
}

// x (N, C, H, W), weight (O, C / groups, h, w) and y (N, O, H', W') are parameters number px, pw and py; what is added to y, if
// anything, is the one before it
int computed(Kind kind, void **p, int *dimensions, int64_t **shapes, int px, int pw, int py, int numbers,
             Tail tail = Tail()) {
  try {
    const Geometry geometry(maps_of(dimensions, shapes, px), shape(dimensions, shapes, pw),
                            maps_of(dimensions, shapes, py), static_cast<float *>(p[numbers]));
    float *x = static_cast<float *>(p[px]), *weight = static_cast<float *>(p[pw]), *y = static_cast<float *>(p[py]);
    const Rectangles rectangles(geometry);
    const bool serve = rectangles.serve(kind);
    const Maps added = tail.other != nullptr ? maps_of(dimensions, shapes, py - 1) : geometry.of_y;
    if (added.shape != geometry.y) throw Failed();
    const InFormat of_other(added, tail.other, serve ? 0 : geometry.of_y.block);
    tail.other = of_other.data;
    if (serve) {
      const InFormat of_x(geometry.of_x, x, 0, kind != kOfData), of_y(geometry.of_y, y, 0, kind != kComputes);
      rectangles.compute(kind, of_x.data, weight, of_y.data);
      add_tail(of_y.data, tail, geometry.y);
      if (kind != kOfWeights) (kind == kOfData ? of_x : of_y).finish();
    } else if (geometry.format() == kPlain) {  // what oneDNN's products of matrices add they add value by value
      made(kind, geometry, Tail())->compute(x, weight, y, Tail());
      add_tail(y, tail, geometry.y);
    } else {
      made(kind, geometry, tail)->compute(x, weight, y, tail);
    }
    return 0;
  } catch (const Failed &) {
    return 1;
  } catch (const std::bad_alloc &) {
    return 2;
  }
}

Tail tail_of(void **p, bool relu, bool adds) {
  Tail tail;
  tail.bias = static_cast<float *>(p[2]);
  tail.other = adds ? static_cast<float *>(p[4]) : nullptr;
  tail.relu = relu;
  return tail;
}

}  // namespace

// x, weight, numbers -> y
OPERATOR(convolution) { return computed(kComputes, p, dimensions, shapes, 0, 1, 3, 2); }

// dy, weight, x of which only the shape counts, numbers -> dx
OPERATOR(convolution_of_data) { return computed(kOfData, p, dimensions, shapes, 4, 1, 0, 3); }

// dy, x, weight of which only the shape counts, numbers -> dweight
OPERATOR(convolution_of_weights) { return computed(kOfWeights, p, dimensions, shapes, 1, 4, 0, 3); }

// x, weight, bias, numbers[, other] -> y = relu(convolution + bias + other), at inference
OPERATOR(convolution_bias) { return computed(kComputes, p, dimensions, shapes, 0, 1, 4, 3, tail_of(p, false, false)); }
OPERATOR(convolution_bias_relu) {
  return computed(kComputes, p, dimensions, shapes, 0, 1, 4, 3, tail_of(p, true, false));
}
// x, weight, numbers, other -> y = convolution + other, at inference
OPERATOR(convolution_add) {
  Tail tail;
  tail.other = static_cast<float *>(p[3]);
  return computed(kComputes, p, dimensions, shapes, 0, 1, 4, 2, tail);
}
OPERATOR(convolution_bias_add_relu) {
  return computed(kComputes, p, dimensions, shapes, 0, 1, 5, 3, tail_of(p, true, true));
}

// The channels in a block of the maps that oneDNN chooses for a convolution on this CPU: 16, 8, or 0 if it chooses none
extern "C" int block_of_channels() {
  try {
    float numbers[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t maps[] = {1, 64, 28, 28};
    const Geometry geometry(Maps(4, maps), {64, 64, 3, 3}, Maps(4, maps), numbers);
    return Convolution(kComputes, geometry, Tail()).block();
  } catch (const Failed &) {
    return 0;
  }
}
