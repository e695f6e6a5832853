// Sampling without sorting. All candidates in their order, the best first, have running sums of
// their weights; each cut and the choice itself ask for the shortest run that reaches some sum
// (top_k: some count). Such a run ends at a logit that is found 11, 11 and 10 bits at a time, from
// counts and sums of the candidates by those bits. Weights are integers, units of 2^-40 of the best
// one's, so that sums do not depend on their order.
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/early_launch.cuh"
#include "kernels/cuda/linear/sample.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 1024;
constexpr int kPerThread = kLogitsPerBlock / kBlock;
constexpr int kBins = 2048;
constexpr uint64_t kUnit = uint64_t{1} << 40;
constexpr int kWarps = kBlock / 32;
constexpr int kBinsPerThread = kBins / kBlock;

struct Histogram {
  uint64_t sums[kBins];
  uint32_t counts[kBins];
};

// Counts and sums of what comes before something in the order.
struct Run {
  uint64_t sum;
  uint32_t count;
};

enum class Search : int32_t { kTopK, kTopP, kToken };

// One search under way.
struct State {
  Run before;       // of all orders above the prefix's
  uint64_t target;  // the run sought is the shortest that reaches it
  uint64_t total;   // weights of what the cuts have left
  uint32_t prefix;  // leading bits of the order at which the run ends
};

// Zeroed before the first pass.
struct Sums {
  uint64_t above_min_p;  // weights of at least min_p times the best one's
  uint32_t n_counted;    // blocks that have counted
  Histogram first;       // by the 11 leading bits of the order
  Histogram second[3],
      third[3];  // of each search: by the next 11 bits and the last 10, of those with its prefix
};
struct Work {
  const Peak* peaks;
  Sums* sums;
  State* states;     // [7], of each pass
  uint32_t* counts;  // [n_parts]
  int n_parts;
  double inverse_temperature;
  SampleArgs args;
};

__device__ uint64_t fixed_weight(float logit, float max, double inverse_temperature) {
  return __double2ull_rn(weight_of(logit, max, inverse_temperature) * static_cast<double>(kUnit));
}

// A histogram of the block's own logits; sums in two halves, of 2^31 at most.
struct LocalHistogram {
  uint32_t low[kBins], high[kBins], counts[kBins];

  __device__ void clear() {
    for (int i = threadIdx.x; i < kBins; i += kBlock) low[i] = high[i] = counts[i] = 0;
    __syncthreads();
  }
  __device__ void add(uint32_t bin, uint64_t weight) {
    atomicAdd(&counts[bin], 1u);
    if (weight == 0) return;
    atomicAdd(&low[bin], static_cast<uint32_t>(weight & 0xFFFFF));
    atomicAdd(&high[bin], static_cast<uint32_t>(weight >> 20));
  }
  __device__ void add_to(Histogram& h) {
    __syncthreads();
    for (int i = threadIdx.x; i < kBins; i += kBlock) {
      if (counts[i] == 0) continue;
      atomicAdd(&h.counts[i], counts[i]);
      const uint64_t sum = low[i] + (uint64_t{high[i]} << 20);
      if (sum != 0) atomicAdd(reinterpret_cast<unsigned long long*>(&h.sums[i]), sum);
    }
  }
};

struct Found {
  Run before;  // of the bins above
  Run in;      // of the bin itself
  Run all;     // of all bins
  uint32_t bin;
};

// Of each lane, the sums up to and with it.
__device__ Run scan_warp(Run v) {
  for (int step = 1; step < 32; step *= 2) {
    const uint32_t count = __shfl_up_sync(0xFFFFFFFFu, v.count, step);
    const uint64_t sum = __shfl_up_sync(0xFFFFFFFFu, v.sum, step);
    if (static_cast<int>(threadIdx.x % 32) >= step) {
      v.count += count;
      v.sum += sum;
    }
  }
  return v;
}

// Of the bins from the highest down, the first with which the run reaches the target. In every
// thread of the block.
__device__ Found find_bin(const Histogram& h, Run before, uint64_t target, bool by_count) {
  __shared__ Run warp_totals[kWarps];
  __shared__ Found found;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int first = kBins - 1 - static_cast<int>(threadIdx.x) * kBinsPerThread;
  Run own{};
  for (int i = 0; i < kBinsPerThread; ++i) {
    own.count += h.counts[first - i];
    own.sum += h.sums[first - i];
  }
  const Run up_to = scan_warp(own);  // with this thread's
  __syncthreads();                   // what an earlier call left has been read
  if (lane == 31) warp_totals[warp] = up_to;
  if (threadIdx.x == 0) found = Found{before, Run{}, Run{}, 0};
  __syncthreads();
  const Run warps = scan_warp(warp_totals[lane]);
  const Run all{__shfl_sync(0xFFFFFFFFu, warps.sum, 31), __shfl_sync(0xFFFFFFFFu, warps.count, 31)};
  const Run mine{__shfl_sync(0xFFFFFFFFu, warps.sum, warp),
                 __shfl_sync(0xFFFFFFFFu, warps.count, warp)};
  Run run{before.sum + mine.sum - warp_totals[warp].sum + up_to.sum - own.sum,
          before.count + mine.count - warp_totals[warp].count + up_to.count - own.count};
  const auto reached = [&] { return (by_count ? uint64_t{run.count} : run.sum) >= target; };
  if (!reached()) {
    for (int i = 0; i < kBinsPerThread; ++i) {
      const Run bin{h.sums[first - i], h.counts[first - i]};
      const Run previous = run;
      run.count += bin.count;
      run.sum += bin.sum;
      if (reached()) {
        found = Found{previous, bin, Run{}, static_cast<uint32_t>(first - i)};
        break;
      }
    }
  }
  __syncthreads();
  Found result = found;
  result.all = all;
  return result;
}

// How many of the equals at the run's end belong to it. All of them have one weight.
__device__ uint64_t n_taken(const Found& f, uint64_t target, bool by_count) {
  if (by_count) return target - f.before.count;
  const uint64_t weight = f.in.count == 0 ? 0 : f.in.sum / f.in.count;
  return weight == 0 ? 1 : (target - f.before.sum + weight - 1) / weight;
}

__device__ uint64_t to_target(double sum, uint64_t total) {
  return max(uint64_t{1}, min(total, static_cast<uint64_t>(__double2ull_rd(sum))));
}

// Pass 0: the histogram of the leading bits of all candidates.
__global__ void __launch_bounds__(kBlock, 1) first_pass_kernel(const __grid_constant__ Work w) {
  __shared__ LocalHistogram local;
  local.clear();
  wait_for_previous();
  let_next_start();
  const float max = Peak{merge_bests<kBlock>(w.peaks, w.n_parts), 0}.max();
  uint64_t above_min_p = 0;
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t id = int64_t{blockIdx.x} * kLogitsPerBlock + i * kBlock + threadIdx.x;
    if (id >= w.args.n_vocab) break;
    const float logit = w.args.logits[id];
    const uint32_t order = order_of(logit);
    if (order == 0) continue;
    const double exact = weight_of(logit, max, w.inverse_temperature);
    const uint64_t weight = __double2ull_rn(exact * static_cast<double>(kUnit));
    if (exact >= w.args.min_p || logit == max)
      above_min_p += weight;  // the best stays whatever min_p is
    local.add(order >> 21, weight);
  }
  local.add_to(w.sums->first);
  for (int step = 16; step > 0; step /= 2)
    above_min_p += __shfl_xor_sync(0xFFFFFFFFu, above_min_p, step);
  if (threadIdx.x % 32 == 0 && above_min_p != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&w.sums->above_min_p), above_min_p);
  }
}

// Two passes a search: the histograms of the next bits of those candidates that share the bits
// found so far.
__global__ void __launch_bounds__(kBlock, 1)
    search_kernel(const __grid_constant__ Work w, Search search, int level, int previous,
                  int pass) {
  __shared__ LocalHistogram local;
  local.clear();
  wait_for_previous();
  let_next_start();
  const int s = static_cast<int>(search);
  const bool by_count = search == Search::kTopK;
  State state{};
  if (level == 1) {
    const Histogram& first = w.sums->first;
    if (previous < 0) {
      const Found all = find_bin(first, Run{}, ~uint64_t{0}, false);
      state.total = all.all.sum;
      if (by_count) state.target = max(1u, min(all.all.count, static_cast<uint32_t>(w.args.top_k)));
    } else {  // what the search before has cut off
      const bool count = previous == static_cast<int>(Search::kTopK);
      const State& last = w.states[pass - 1];
      const Found f = find_bin(w.sums->third[previous], last.before, last.target, count);
      const uint64_t weight = f.in.count == 0 ? 0 : f.in.sum / f.in.count;
      state.total = f.before.sum + n_taken(f, last.target, count) * weight;
    }
    if (search == Search::kTopP) {
      state.target = to_target(
          ceil(static_cast<double>(w.args.top_p) * static_cast<double>(state.total)), state.total);
    }
    if (search == Search::kToken) {
      state.total = min(state.total, w.sums->above_min_p);
      state.target =
          to_target(floor(w.args.uniform * static_cast<double>(state.total)) + 1, state.total);
    }
    const Found f = find_bin(first, Run{}, state.target, by_count);
    state.before = f.before;
    state.prefix = f.bin;
  } else {
    state = w.states[pass - 1];
    const Found f = find_bin(w.sums->second[s], state.before, state.target, by_count);
    state.before = f.before;
    state.prefix = state.prefix << 11 | f.bin;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) w.states[pass] = state;

  const int shift = level == 1 ? 21 : 10, next = level == 1 ? 10 : 0;
  const uint32_t mask = level == 1 ? 2047 : 1023;
  const float max = Peak{merge_bests<kBlock>(w.peaks, w.n_parts), 0}.max();
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t id = int64_t{blockIdx.x} * kLogitsPerBlock + i * kBlock + threadIdx.x;
    if (id >= w.args.n_vocab) break;
    const float logit = w.args.logits[id];
    const uint32_t order = order_of(logit);
    if (order == 0 || order >> shift != state.prefix) continue;
    local.add(order >> next & mask, fixed_weight(logit, max, w.inverse_temperature));
  }
  local.add_to(level == 1 ? w.sums->second[s] : w.sums->third[s]);
}

// The sum of n over the block, and over the threads before this one.
__device__ uint32_t block_count(uint32_t n, uint32_t& before) {
  __shared__ uint32_t warps[kWarps];
  const int lane = threadIdx.x % 32;
  const auto scan = [&](uint32_t v) {
    for (int step = 1; step < 32; step *= 2) {
      const uint32_t other = __shfl_up_sync(0xFFFFFFFFu, v, step);
      if (lane >= step) v += other;
    }
    return v;
  };
  const uint32_t up_to = scan(n);
  __syncthreads();
  if (lane == 31) warps[threadIdx.x / 32] = up_to;
  __syncthreads();
  const uint32_t all = scan(warps[lane]);
  before = __shfl_sync(0xFFFFFFFFu, all, threadIdx.x / 32) - warps[threadIdx.x / 32] + up_to - n;
  return __shfl_sync(0xFFFFFFFFu, all, 31);
}

// Of the logits at which the last run ends, the one it ends with: equals are taken by ascending id.
// Blocks count their equals; the last to do so knows in which part the token lies.
__global__ void __launch_bounds__(kBlock, 1)
    token_kernel(const __grid_constant__ Work w, int pass) {
  __shared__ bool is_last;
  __shared__ int part;
  __shared__ uint32_t part_skip;
  wait_for_previous();
  let_next_start();
  const Peak peak = merge_peaks<kBlock>(w.peaks, w.n_parts);
  const State state = w.states[pass - 1];
  const Found f =
      find_bin(w.sums->third[static_cast<int>(Search::kToken)], state.before, state.target, false);
  const uint32_t order = state.prefix << 10 | f.bin;

  // Neighbouring ids in one thread, so that counts are in the order of ids.
  const auto count_equals = [&](int64_t part, uint32_t skip) {  // the id after `skip` equals, or -1
    uint32_t n = 0;
    int32_t id_after = -1;
    for (int i = 0; i < kPerThread; ++i) {
      const int64_t id = part * kLogitsPerBlock + int64_t{threadIdx.x} * kPerThread + i;
      if (id >= w.args.n_vocab || order_of(w.args.logits[id]) != order) continue;
      if (n++ == skip) id_after = static_cast<int32_t>(id);
    }
    return make_uint2(n, static_cast<uint32_t>(id_after));
  };
  uint32_t before;
  const uint32_t own = block_count(count_equals(blockIdx.x, 0).x, before);
  if (threadIdx.x == 0) {
    w.counts[blockIdx.x] = own;
    __threadfence();
    is_last = atomicAdd(&w.sums->n_counted, 1u) + 1 == gridDim.x;
    part = -1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();

  auto skip = static_cast<uint32_t>(n_taken(f, state.target, false) - 1);
  for (int first = 0; first < w.n_parts; first += kBlock) {
    const int p = first + static_cast<int>(threadIdx.x);
    const uint32_t n = p < w.n_parts ? __ldcg(&w.counts[p]) : 0;
    const uint32_t all = block_count(n, before);
    if (skip >= before && skip < before + n) {
      part = p;
      part_skip = skip - before;
    }
    if (skip < all) break;
    skip -= all;
  }
  __syncthreads();
  if (!peak.valid() || part < 0) {
    if (threadIdx.x == 0) {
      *w.args.token = -1;
      *w.args.logprob = NAN;
    }
    return;
  }
  const uint32_t n = count_equals(part, 0).x;
  block_count(n, before);
  if (part_skip < before || part_skip >= before + n) return;
  const auto id = static_cast<int32_t>(count_equals(part, part_skip - before).y);
  const float logit = w.args.logits[id];
  const double above = logit == peak.max() ? 0.0 : static_cast<double>(logit) - peak.max();
  *w.args.token = id;
  *w.args.logprob = static_cast<float>(above - log(peak.sum));
}

}  // namespace

void sample_candidates(Context& ctx, const SampleArgs& a) {
  const auto n_parts = static_cast<size_t>(n_peaks(a.n_vocab));
  ctx.scratch.begin(Scratch::padded(n_parts * sizeof(Peak)) + Scratch::padded(sizeof(Sums)) +
                    Scratch::padded(7 * sizeof(State)) +
                    Scratch::padded(n_parts * sizeof(uint32_t)));
  Peak* peaks = ctx.scratch.take<Peak>(n_parts);
  Sums* sums = ctx.scratch.take<Sums>(1);
  State* states = ctx.scratch.take<State>(7);
  const Work w{peaks,
               sums,
               states,
               ctx.scratch.take<uint32_t>(n_parts),
               static_cast<int>(n_parts),
               1.0 / static_cast<double>(a.temperature),
               a};
  const dim3 grid(static_cast<unsigned>(n_parts));
  check(cudaMemsetAsync(sums, 0, sizeof(Sums), ctx.stream), "cudaMemsetAsync");
  find_peaks(ctx, a.logits, 1, a.n_vocab, peaks);
  launch_early(ctx, first_pass_kernel, "first_pass_kernel", grid, kBlock, 0, w);
  int pass = 0, previous = -1;
  const auto search = [&](Search s) {
    for (int level = 1; level <= 2; ++level) {
      launch_early(ctx, search_kernel, "search_kernel", grid, kBlock, 0, w, s, level, previous,
                   pass++);
    }
    previous = static_cast<int>(s);
  };
  if (a.top_k > 0 && a.top_k < a.n_vocab) search(Search::kTopK);
  if (a.top_p < 1) search(Search::kTopP);
  search(Search::kToken);
  launch_early(ctx, token_kernel, "token_kernel", grid, kBlock, 0, w, pass);
}

}  // namespace reattn::kernels::cuda
