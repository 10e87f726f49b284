// Convolutions by the oneDNN that MindSpore brings, in the memory formats that oneDNN itself would choose.
//
// MindSpore gives oneDNN plain (N, C, H, W) maps, for which oneDNN unfolds the images into a matrix (im2col). For maps in blocks
// of channels (nChw16c) it has compiled kernels that are 1.3 to 4 times as fast for kernels larger than 1x1, the copies from and to
// plain maps included. The interface is that of kernels.cpp.
//
// Declared here is what oneDNN 2.2's include/oneapi/dnnl/dnnl.h, dnnl_types.h and dnnl_threadpool_iface.hpp say; no header of it
// has to be installed.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads() { return 1; }
static int omp_in_parallel() { return 0; }
#endif

namespace dnnl {
namespace threadpool_interop {
struct threadpool_iface {  // the order of the functions counts
  virtual int get_num_threads() const = 0;
  virtual bool get_in_parallel() const = 0;
  virtual void parallel_for(int n, const std::function<void(int, int)> &task) = 0;
  virtual uint64_t get_flags() const = 0;
  virtual ~threadpool_iface() {}
};
}  // namespace threadpool_interop
}  // namespace dnnl

extern "C" {
struct dnnl_exec_arg_t {
  int arg;
  void *memory;
};
int dnnl_engine_create(void **engine, int kind, size_t index);
int dnnl_threadpool_interop_stream_create(void **stream, void *engine, void *pool);
int dnnl_memory_desc_init_by_tag(void *desc, int dimensions, const int64_t *shape, int type, int tag);
size_t dnnl_memory_desc_get_size(const void *desc);
int dnnl_memory_desc_equal(const void *one, const void *other);
int dnnl_dilated_convolution_forward_desc_init(void *desc, int kind, int algorithm, const void *x, const void *weight,
                                               const void *bias, const void *y, const int64_t *strides,
                                               const int64_t *dilations, const int64_t *begin, const int64_t *end);
int dnnl_dilated_convolution_backward_data_desc_init(void *desc, int algorithm, const void *dx, const void *weight,
                                                     const void *dy, const int64_t *strides, const int64_t *dilations,
                                                     const int64_t *begin, const int64_t *end);
int dnnl_dilated_convolution_backward_weights_desc_init(void *desc, int algorithm, const void *x, const void *dweight,
                                                        const void *dbias, const void *dy, const int64_t *strides,
                                                        const int64_t *dilations, const int64_t *begin,
                                                        const int64_t *end);
int dnnl_primitive_desc_create(void **desc, const void *operation, const void *attributes, void *engine,
                               const void *forward);
const void *dnnl_primitive_desc_query_md(const void *desc, int what, int index);
int dnnl_reorder_primitive_desc_create(void **desc, const void *from, void *engine, const void *to, void *to_engine,
                                       const void *attributes);
int dnnl_primitive_create(void **primitive, const void *desc);
int dnnl_primitive_execute(const void *primitive, void *stream, int count, const dnnl_exec_arg_t *arguments);
int dnnl_stream_wait(void *stream);
int dnnl_memory_create(void **memory, const void *desc, void *engine, void *data);
int dnnl_memory_destroy(void *memory);
}

namespace {

constexpr int kCPU = 1, kFloat32 = 3, kAny = 1, kPlain = 5, kPlainOfGroups = 7;  // dnnl_abcd, dnnl_abcde
constexpr int kForward = 64, kDirect = 1;
constexpr int kX = 1, kY = 17, kWeight = 33, kOfGradient = 128;  // DNNL_ARG_SRC, _DST, _WEIGHTS; DNNL_ARG_DIFF_* are 128 higher
constexpr int kFormatOfX = 129, kFormatOfWeight = 131, kFormatOfY = 133;  // dnnl_query_*_md; those of gradients are 1 higher

struct Failed {};

void must(int status) {
  if (status != 0) throw Failed();
}

class Threads : public dnnl::threadpool_interop::threadpool_iface {
 public:
  int get_num_threads() const override { return omp_get_max_threads(); }
  bool get_in_parallel() const override { return omp_in_parallel() != 0; }
  void parallel_for(int n, const std::function<void(int, int)> &task) override {
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) task(i, n);
  }
  uint64_t get_flags() const override { return 0; }  // returns when all is done
};

void *engine() {
  static void *made = [] {
    void *engine = nullptr;
    must(dnnl_engine_create(&engine, kCPU, 0));
    return engine;
  }();
  return made;
}

void *stream() {
  static Threads threads;
  thread_local void *made = nullptr;
  if (made == nullptr) must(dnnl_threadpool_interop_stream_create(&made, engine(), &threads));
  return made;
}

// Memory between two formats, kept for the next convolution: fresh pages would cost as much as the copy.
class Buffers {
 public:
  float *take(size_t size) {
    const std::lock_guard<std::mutex> locked(mutex_);
    auto found = free_.lower_bound(size);
    if (found == free_.end() && !free_.empty()) {  // one that is too small makes room
      std::free(free_.begin()->second);
      free_.erase(free_.begin());
    }
    void *data = nullptr;
    if (found != free_.end()) {
      data = found->second;
      sizes_[data] = found->first;
      free_.erase(found);
    } else {
      if (posix_memalign(&data, 64, size) != 0) throw std::bad_alloc();
      sizes_[data] = size;
    }
    return static_cast<float *>(data);
  }

  void give_back(void *data) {
    const std::lock_guard<std::mutex> locked(mutex_);
    auto found = sizes_.find(data);
    free_.emplace(found->second, data);
    sizes_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::multimap<size_t, void *> free_;
  std::map<void *, size_t> sizes_;
};

Buffers &buffers() {
  static Buffers made;
  return made;
}

struct Desc {  // dnnl_memory_desc_t has 696 bytes
  alignas(16) char bytes[2048];
  Desc(const std::vector<int64_t> &shape, int tag) {
    must(dnnl_memory_desc_init_by_tag(bytes, static_cast<int>(shape.size()), shape.data(), kFloat32, tag));
  }
};

class Memory {
 public:
  Memory(const void *desc, float *data) { must(dnnl_memory_create(&made, desc, engine(), data)); }
  ~Memory() { dnnl_memory_destroy(made); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  void *made = nullptr;
};

void run(const void *primitive, const std::vector<dnnl_exec_arg_t> &arguments) {
  must(dnnl_primitive_execute(primitive, stream(), static_cast<int>(arguments.size()), arguments.data()));
  must(dnnl_stream_wait(stream()));
}

void *reorder(const void *from, const void *to) {
  void *desc = nullptr, *made = nullptr;
  must(dnnl_reorder_primitive_desc_create(&desc, from, engine(), to, engine(), nullptr));
  must(dnnl_primitive_create(&made, desc));
  return made;
}

// An array that a convolution reads or writes: plain for MindSpore, and as the convolution wants it.
struct Operand {
  int argument;
  bool is_output;
  Desc plain;
  const void *wanted = nullptr;  // lives as long as the convolution
  void *copy = nullptr;          // the primitive that copies, if the two differ

  Operand(int argument, bool is_output, const std::vector<int64_t> &shape)
      : argument(argument), is_output(is_output), plain(shape, shape.size() == 5 ? kPlainOfGroups : kPlain) {}

  void want(const void *desc) {
    wanted = desc;
    if (dnnl_memory_desc_equal(plain.bytes, wanted) != 0) return;
    copy = is_output ? reorder(wanted, plain.bytes) : reorder(plain.bytes, wanted);
  }
};

// An operand with its data, for one computation
class Bound {
 public:
  Bound(const Operand &operand, float *data) : operand_(operand), plain_(operand.plain.bytes, data) {
    if (operand.copy == nullptr) return;
    buffer_ = buffers().take(dnnl_memory_desc_get_size(operand.wanted));
    blocks_ = new Memory(operand.wanted, buffer_);
    if (!operand.is_output) run(operand.copy, {{kX, plain_.made}, {kY, blocks_->made}});
  }
  ~Bound() {
    delete blocks_;
    if (buffer_ != nullptr) buffers().give_back(buffer_);
  }
  Bound(const Bound &) = delete;
  Bound &operator=(const Bound &) = delete;

  dnnl_exec_arg_t argument() const { return {operand_.argument, blocks_ == nullptr ? plain_.made : blocks_->made}; }
  void finish() const {
    if (operand_.copy != nullptr && operand_.is_output) run(operand_.copy, {{kX, blocks_->made}, {kY, plain_.made}});
  }

 private:
  const Operand &operand_;
  Memory plain_;
  float *buffer_ = nullptr;
  Memory *blocks_ = nullptr;
};

enum Kind { kComputes, kOfData, kOfWeights };

struct Geometry {
  std::vector<int64_t> x, weight, y, strides, dilations, begin, end;

  // numbers: stride, dilation (height, width), padding (top, bottom, left, right; all -1: as much as y needs), groups
  Geometry(std::vector<int64_t> of_x, const std::vector<int64_t> &of_weight, std::vector<int64_t> of_y, const float *numbers)
      : x(of_x), weight(of_weight), y(of_y) {
    const int64_t groups = static_cast<int64_t>(numbers[8]);
    if (groups > 1) weight = {groups, of_weight[0] / groups, of_weight[1], of_weight[2], of_weight[3]};
    for (int i = 0; i < 2; i++) {
      const int64_t stride = static_cast<int64_t>(numbers[i]), dilation = static_cast<int64_t>(numbers[2 + i]);
      int64_t before = static_cast<int64_t>(numbers[4 + 2 * i]), after = static_cast<int64_t>(numbers[5 + 2 * i]);
      if (before < 0) {
        const int64_t needed = (y[2 + i] - 1) * stride + (of_weight[2 + i] - 1) * dilation + 1 - x[2 + i];
        before = needed > 0 ? needed / 2 : 0;
        after = needed > 0 ? needed - before : 0;
      }
      strides.push_back(stride);
      dilations.push_back(dilation - 1);
      begin.push_back(before);
      end.push_back(after);
    }
  }

  std::vector<int64_t> key(Kind kind) const {
    std::vector<int64_t> all = {kind, static_cast<int64_t>(weight.size())};
    for (const auto *part : {&x, &weight, &y, &strides, &dilations, &begin, &end})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }
};

// One convolution of oneDNN, or one of its gradients, made for a geometry and kept
class Convolution {
 public:
  Convolution(Kind kind, const Geometry &of)
      : x_(kX + (kind == kOfData ? kOfGradient : 0), kind == kOfData, of.x),
        weight_(kWeight + (kind == kOfWeights ? kOfGradient : 0), kind == kOfWeights, of.weight),
        y_(kY + (kind == kComputes ? 0 : kOfGradient), kind == kComputes, of.y) {
    void *desc = described(kind, of);
    x_.want(dnnl_primitive_desc_query_md(desc, kFormatOfX + (kind == kOfData), 0));
    weight_.want(dnnl_primitive_desc_query_md(desc, kFormatOfWeight + (kind == kOfWeights), 0));
    y_.want(dnnl_primitive_desc_query_md(desc, kFormatOfY + (kind != kComputes), 0));
    must(dnnl_primitive_create(&primitive_, desc));
  }

  void compute(float *x, float *weight, float *y) const {
    const Bound bx(x_, x), bw(weight_, weight), by(y_, y);
    run(primitive_, {bx.argument(), bw.argument(), by.argument()});
    for (const Bound *each : {&bx, &bw, &by}) each->finish();
  }

 private:
  static void *described(Kind kind, const Geometry &of) {
    const Desc x(of.x, kAny), weight(of.weight, kAny), y(of.y, kAny);
    std::vector<char> operation(32768);  // dnnl_convolution_desc_t has 5976 bytes
    void *forward = nullptr, *desc = nullptr;
    const int64_t *strides = of.strides.data(), *dilations = of.dilations.data(), *begin = of.begin.data(),
                  *end = of.end.data();
    must(dnnl_dilated_convolution_forward_desc_init(operation.data(), kForward, kDirect, x.bytes, weight.bytes, nullptr,
                                                    y.bytes, strides, dilations, begin, end));
    must(dnnl_primitive_desc_create(&forward, operation.data(), nullptr, engine(), nullptr));
    if (kind == kComputes) return forward;
    if (kind == kOfData)
      must(dnnl_dilated_convolution_backward_data_desc_init(operation.data(), kDirect, x.bytes, weight.bytes, y.bytes,
                                                            strides, dilations, begin, end));
    else
      must(dnnl_dilated_convolution_backward_weights_desc_init(operation.data(), kDirect, x.bytes, weight.bytes, nullptr,
                                                               y.bytes, strides, dilations, begin, end));
    must(dnnl_primitive_desc_create(&desc, operation.data(), nullptr, engine(), forward));
    return desc;
  }

  Operand x_, weight_, y_;
  void *primitive_ = nullptr;
};

const Convolution &made(Kind kind, const Geometry &geometry) {
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, Convolution *> known;
  const std::lock_guard<std::mutex> locked(mutex);
  Convolution *&found = known[geometry.key(kind)];
  if (found == nullptr) found = new Convolution(kind, geometry);
  return *found;
}

std::vector<int64_t> shape(int *dimensions, int64_t **shapes, int position) {
  return std::vector<int64_t>(shapes[position], shapes[position] + dimensions[position]);
}

// x (N, C, H, W), weight (O, C / groups, h, w) and y (N, O, H', W') are parameters number px, pw and py; numbers are number 2 or 3
int computed(Kind kind, void **p, int *dimensions, int64_t **shapes, int px, int pw, int py, int numbers) {
  try {
    const Geometry geometry(shape(dimensions, shapes, px), shape(dimensions, shapes, pw), shape(dimensions, shapes, py),
                            static_cast<float *>(p[numbers]));
    made(kind, geometry).compute(static_cast<float *>(p[px]), static_cast<float *>(p[pw]), static_cast<float *>(p[py]));
    return 0;
  } catch (const Failed &) {
    return 1;
  } catch (const std::bad_alloc &) {
    return 2;
  }
}

}  // namespace

// x, weight, numbers -> y
extern "C" int convolution(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  return computed(kComputes, p, dimensions, shapes, 0, 1, 3, 2);
}

// dy, weight, x of which only the shape counts, numbers -> dx
extern "C" int convolution_of_data(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  return computed(kOfData, p, dimensions, shapes, 4, 1, 0, 3);
}

// dy, x, weight of which only the shape counts, numbers -> dweight
extern "C" int convolution_of_weights(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *) {
  return computed(kOfWeights, p, dimensions, shapes, 1, 4, 0, 3);
}
