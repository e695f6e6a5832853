#include "kernels/cuda/linear/lt.hpp"

#include <dlfcn.h>

#include <string>

#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {

struct Lt::Api {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatrixLayoutSetAttribute) layout_set;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
};

namespace {

constexpr const char* kInstall =
    "; products of more than 8 rows need CUDA 13's cuBLAS (Debian package libcublas-13-0, PyPI "
    "package nvidia-cublas) where "
    "the loader finds it, e.g. through LD_LIBRARY_PATH";

void* open_library() {
  std::string why;
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so"}) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
    if (why.empty()) why = dlerror();
  }
  fail(ErrorCode::kNoDevice, "CUDA: libcublasLt.so.13 was not found (", why, ")", kInstall);
}

template <class F>
void find(void* library, F*& to, const char* name) {
  void* at = dlsym(library, name);
  if (at == nullptr) {
    fail(ErrorCode::kNoDevice, "CUDA: the libcublasLt that was found has no ", name, kInstall);
  }
  to = reinterpret_cast<F*>(at);
}

void check_lt(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  check(cudaGetLastError(), what);  // the better reason, where there is one
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::kOomDevice : ErrorCode::kInternal,
       "CUDA: ", what, ": cuBLAS status ", static_cast<int>(status));
}

// Up to here the library may sum up in parts: without it few rows keep few multiprocessors busy.
constexpr int64_t kFewRows = 64;

// Rows as the heuristics see them, so that nearby numbers of rows are multiplied by one algorithm.
int64_t bucket(int64_t n_rows) {
  const int64_t step = n_rows <= 512 ? kFewRows : 512;
  return (n_rows + step - 1) / step * step;
}

// Destroyed by the function given with it.
template <class T, class Destroy>
class Owned {
 public:
  explicit Owned(Destroy destroy) : destroy_(destroy) {}
  ~Owned() {
    if (value != nullptr) destroy_(value);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T value = nullptr;

 private:
  Destroy destroy_;
};

}  // namespace

// The product as cuBLASLt sees it, column by column: outᵀ = w · xᵀ, of [n_out, n_rows] =
// [n_out, n_in] · [n_in, n_rows], w stored transposed.
struct Lt::Problem {
  Problem(const Api& api, const Gemm& g, int64_t n_rows)
      : api_(api),
        desc(api.desc_destroy),
        w(api.layout_destroy),
        x(api.layout_destroy),
        out(api.layout_destroy) {
    check_lt(api.desc_create(&desc.value, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "cublasLtMatmulDescCreate");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (g.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    }
    if (g.w_scales != nullptr) {
      constexpr auto kEach = int32_t{CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F};
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, kEach);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, kEach);
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, g.w_scales);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, g.x_scales);
    }
    layout(w.value, g.in_type, g.n_in, g.n_out, g.n_batch, g.w_stride);
    layout(x.value, g.in_type, g.n_in, n_rows, g.n_batch, 0);
    layout(out.value, g.out_type, g.n_out, n_rows, g.n_batch, g.out_stride);
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t which, T value) {
    check_lt(api_.desc_set(desc.value, which, &value, sizeof value),
             "cublasLtMatmulDescSetAttribute");
  }
  void layout(cublasLtMatrixLayout_t& to, cudaDataType_t type, int64_t rows, int64_t columns,
              int32_t n_batch, int64_t stride) {
    check_lt(api_.layout_create(&to, type, static_cast<uint64_t>(rows),
                                static_cast<uint64_t>(columns), rows),
             "cublasLtMatrixLayoutCreate");
    if (n_batch == 1) return;
    check_lt(api_.layout_set(to, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &n_batch, sizeof n_batch),
             "cublasLtMatrixLayoutSetAttribute");
    check_lt(
        api_.layout_set(to, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
        "cublasLtMatrixLayoutSetAttribute");
  }

  const Api& api_;
  Owned<cublasLtMatmulDesc_t, decltype(Api::desc_destroy)> desc;
  Owned<cublasLtMatrixLayout_t, decltype(Api::layout_destroy)> w, x, out;
};

Lt::Lt() = default;

Lt::~Lt() {
  if (handle_ != nullptr) api_->destroy(handle_);
}

void Lt::require() {
  if (handle_ != nullptr) return;
  auto api = std::make_unique<Api>();
  void* library = open_library();  // stays open: unloading a CUDA library is not safe
  find(library, api->create, "cublasLtCreate");
  find(library, api->destroy, "cublasLtDestroy");
  find(library, api->matmul, "cublasLtMatmul");
  find(library, api->heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(library, api->desc_create, "cublasLtMatmulDescCreate");
  find(library, api->desc_destroy, "cublasLtMatmulDescDestroy");
  find(library, api->desc_set, "cublasLtMatmulDescSetAttribute");
  find(library, api->layout_create, "cublasLtMatrixLayoutCreate");
  find(library, api->layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(library, api->layout_set, "cublasLtMatrixLayoutSetAttribute");
  find(library, api->preference_create, "cublasLtMatmulPreferenceCreate");
  find(library, api->preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(library, api->preference_set, "cublasLtMatmulPreferenceSetAttribute");
  cublasLtHandle_t handle = nullptr;
  check_lt(api->create(&handle), "cublasLtCreate");
  api_ = std::move(api);
  handle_ = handle;
}

const Lt::Choice& Lt::choose(const Gemm& g, int64_t n_rows) {
  const Key key{n_rows, g.n_out, g.n_in, g.in_type * 1000 + g.out_type,
                g.n_batch * 4 + (g.bias != nullptr ? 2 : 0) + (g.accumulate ? 1 : 0)};
  const auto known = choices_.find(key);
  if (known != choices_.end()) return known->second;

  Gemm apart = g;  // where the two of a batch happen to lie must not matter either
  apart.w_stride = g.n_out * g.n_in;
  apart.out_stride = n_rows * g.n_out;
  const Problem p(*api_, apart, n_rows);
  Owned<cublasLtMatmulPreference_t, decltype(Api::preference_destroy)> preference(
      api_->preference_destroy);
  check_lt(api_->preference_create(&preference.value), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check_lt(api_->preference_set(preference.value, which, &value, sizeof value),
             "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
  if (n_rows > kFewRows) {  // what a row gives would depend on the number of parts
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
  }
  for (const auto which :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(which, uint32_t{16});  // the choice must not depend on where a matrix happens to lie
  }
  cublasLtMatmulHeuristicResult_t result{};
  int n_found = 0;
  const cublasStatus_t status =
      api_->heuristic(handle_, p.desc.value, p.w.value, p.x.value, p.out.value, p.out.value,
                      preference.value, 1, &result, &n_found);
  const bool found =
      status == CUBLAS_STATUS_SUCCESS && n_found > 0 && result.state == CUBLAS_STATUS_SUCCESS;
  const bool refused = status == CUBLAS_STATUS_NOT_SUPPORTED ||
                       (g.w_scales != nullptr && status == CUBLAS_STATUS_INVALID_VALUE);
  if (status != CUBLAS_STATUS_SUCCESS && !refused) {
    check_lt(status, "cublasLtMatmulAlgoGetHeuristic");
  }
  if (choices_.size() >= 4096) choices_.clear();
  return choices_[key] = {found, result.algo};
}

bool Lt::gemm(cudaStream_t stream, const Gemm& g, void* workspace) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  const int64_t in_size = g.in_type == CUDA_R_32F ? 4
                          : g.w_scales != nullptr ? 1
                                                  : 2,
                out_size = g.out_type == CUDA_R_32F ? 4 : 2;
  if (!aligned(g.x) || !aligned(g.w) || !aligned(g.out) || !aligned(g.bias) ||
      !aligned(g.x_scales) || !aligned(g.w_scales) || g.n_in * in_size % 16 != 0 ||
      g.n_out * out_size % 16 != 0) {
    return false;
  }
  require();
  const Problem p(*api_, g, g.n_rows);
  const float one = 1, zero = 0;
  for (const int64_t n_rows : {bucket(g.n_rows), g.n_rows}) {
    const Choice& choice = choose(g, n_rows);
    if (!choice.found) continue;
    const cublasStatus_t status = api_->matmul(
        handle_, p.desc.value, &one, g.w, p.w.value, g.x, p.x.value, g.accumulate ? &one : &zero,
        g.out, p.out.value, g.out, p.out.value, &choice.algo, workspace, kWorkspaceBytes, stream);
    if (status == CUBLAS_STATUS_SUCCESS) return true;
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE) {
      check_lt(status, "cublasLtMatmul");
    }
  }
  return false;
}

}  // namespace reattn::kernels::cuda
