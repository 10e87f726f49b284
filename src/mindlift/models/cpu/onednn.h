// The oneDNN that MindSpore brings, as far as it is called: its interface, and objects of it that are kept.
//
// Declared here is what oneDNN 2.2's include/oneapi/dnnl/dnnl.h, dnnl_types.h and dnnl_threadpool_iface.hpp say; no header of it
// has to be installed.

#ifndef MINDLIFT_ONEDNN_H
#define MINDLIFT_ONEDNN_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
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
int dnnl_pooling_forward_desc_init(void *desc, int kind, int algorithm, const void *x, const void *y, const int64_t *strides,
                                   const int64_t *kernel, const int64_t *begin, const int64_t *end);
int dnnl_primitive_desc_create(void **desc, const void *operation, const void *attributes, void *engine,
                               const void *forward);
const void *dnnl_primitive_desc_query_md(const void *desc, int what, int index);
int dnnl_reorder_primitive_desc_create(void **desc, const void *from, void *engine, const void *to, void *to_engine,
                                       const void *attributes);
int dnnl_primitive_desc_destroy(void *desc);
int dnnl_primitive_create(void **primitive, const void *desc);
int dnnl_primitive_destroy(void *primitive);
int dnnl_primitive_execute(const void *primitive, void *stream, int count, const dnnl_exec_arg_t *arguments);
int dnnl_stream_wait(void *stream);
int dnnl_memory_create(void **memory, const void *desc, void *engine, void *data);
int dnnl_memory_destroy(void *memory);
int dnnl_primitive_attr_create(void **attributes);
int dnnl_primitive_attr_destroy(void *attributes);
int dnnl_primitive_attr_set_post_ops(void *attributes, const void *operations);
int dnnl_post_ops_create(void **operations);
int dnnl_post_ops_destroy(void *operations);
int dnnl_post_ops_append_sum(void *operations, float scale);
int dnnl_post_ops_append_eltwise(void *operations, float scale, int algorithm, float alpha, float beta);
int dnnl_threadpool_interop_sgemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                                  const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                                  int64_t ldc, void *pool);
}

#define OPERATOR(name) \
  extern "C" int name(int, void **p, int *dimensions, int64_t **shapes, const char **, void *, void *)

// Each file has its own: a process may hold several builds of the library, whose objects are not to be mixed.
namespace {

constexpr int kCPU = 1, kFloat32 = 3, kAny = 1, kVector = 2, kPlain = 5, kPlainOfGroups = 7;  // dnnl_a, _abcd, _abcde
constexpr int kBlocksOf16 = 69, kBlocksOf8 = 93;                                                  // dnnl_aBcd16b, _aBcd8b
constexpr int kTraining = 64, kInference = 96, kDirect = 1, kReLU = 31, kMaximum = 0x1ff, kAverage = 0x3ff;  // without padding
constexpr int kX = 1, kY = 17, kWeight = 33, kBias = 41, kOfGradient = 128;  // DNNL_ARG_SRC, ...; DNNL_ARG_DIFF_* are 128 higher
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

void *threads() {
  static Threads made;
  return &made;
}

void *stream() {
  thread_local void *made = nullptr;
  if (made == nullptr) must(dnnl_threadpool_interop_stream_create(&made, engine(), threads()));
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
  static int plain(const std::vector<int64_t> &shape) {
    return shape.size() == 1 ? kVector : shape.size() == 4 ? kPlain : kPlainOfGroups;
  }
};

// The maps of an operator as MindSpore holds them
struct Maps {
  std::vector<int64_t> shape;  // (N, C, H, W)
  int64_t block = 0;           // channels, 0 where they are plain

  Maps(int dimensions, const int64_t *held) : shape(held, held + 4) {
    if (dimensions == 4) return;
    block = held[4];
    shape[1] *= block;
    if (dimensions != 5 || (block != 16 && block != 8)) throw Failed();
  }
  int tag() const { return block == 16 ? kBlocksOf16 : block == 8 ? kBlocksOf8 : kPlain; }
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

using Handle = std::shared_ptr<void>;  // of an object of oneDNN

Handle primitive(const Handle &desc) {
  void *made = nullptr;
  must(dnnl_primitive_create(&made, desc.get()));
  return Handle(made, dnnl_primitive_destroy);
}

Handle reorder(const void *from, const void *to) {
  void *desc = nullptr;
  must(dnnl_reorder_primitive_desc_create(&desc, from, engine(), to, engine(), nullptr));
  return primitive(Handle(desc, dnnl_primitive_desc_destroy));
}

// Where a window, which is a weight's or a pool's, meets the maps of an axis: padding before and after them
struct Margins {
  int64_t before, after;
  // given -1: as much as `output` places need
  Margins(float given_before, float given_after, int64_t input, int64_t output, int64_t stride, int64_t window)
      : before(static_cast<int64_t>(given_before)), after(static_cast<int64_t>(given_after)) {
    if (before >= 0) return;
    const int64_t needed = std::max<int64_t>((output - 1) * stride + window - input, 0);
    before = needed / 2;
    after = needed - before;
  }
};

Maps maps_of(int *dimensions, int64_t **shapes, int position) { return Maps(dimensions[position], shapes[position]); }

constexpr size_t kKept = 2048;  // of each kind: what there is in a network for several sizes of images

// The copy of maps, or a pool of them, made for their shapes and kept
std::shared_ptr<void> kept(const std::vector<int64_t> &key, const std::function<Handle()> &make) {
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, Handle> known;
  const std::lock_guard<std::mutex> locked(mutex);
  if (known.size() > kKept) known.clear();
  Handle &found = known[key];
  if (!found) found = make();
  return found;
}

}  // namespace

#endif
