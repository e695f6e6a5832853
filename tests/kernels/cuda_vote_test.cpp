// Vote and expansion on the device: equal to the reference, whatever the number of picks, and in lists.
#include <algorithm>
#include <random>

#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

using CudaVote = CudaTest;
using CudaExpand = CudaTest;

constexpr int32_t kPoison = -77;

struct VoteCase {
  int64_t n_picks;
  int64_t begin, end;
  int32_t n_anchors;
  int32_t n_distinct;  // positions that picks are drawn from; 0: the whole middle
  int32_t strays = 0;  // of 100 picks: −1 or outside the middle
  int32_t n_tops = 0;  // positions that half of all picks go to
};

std::ostream& operator<<(std::ostream& out, const VoteCase& c) {
  return out << c.n_picks << " picks, middle [" << c.begin << ", " << c.end << "), " << c.n_anchors
             << " anchors, " << c.n_distinct << " distinct, " << c.strays << "% strays, "
             << c.n_tops << " tops";
}

std::vector<int32_t> draw_picks(const VoteCase& c, unsigned seed) {
  std::mt19937_64 random(seed);
  const auto middle = static_cast<uint64_t>(c.end - c.begin);
  std::vector<int32_t> from(static_cast<size_t>(c.n_distinct));
  for (int32_t& p : from)
    p = static_cast<int32_t>(c.begin + static_cast<int64_t>(random() % middle));
  std::vector<int32_t> picks(static_cast<size_t>(c.n_picks));
  for (int32_t& p : picks) {
    if (static_cast<int32_t>(random() % 100) < c.strays) {
      const int64_t stray[] = {-1, c.begin - 1, c.end, c.end + 1000, INT32_MIN};
      p = static_cast<int32_t>(stray[random() % 5]);
    } else if (c.n_tops > 0 && random() % 2 == 0) {
      p = static_cast<int32_t>(c.begin +
                               static_cast<int64_t>(random() % static_cast<uint64_t>(c.n_tops)));
    } else if (from.empty()) {
      p = static_cast<int32_t>(c.begin + static_cast<int64_t>(random() % middle));
    } else {
      p = from[random() % from.size()];
    }
  }
  return picks;
}

struct Voted {
  std::vector<int32_t> anchors, votes;
  bool operator==(const Voted&) const = default;
};

Voted reference_vote(const VoteCase& c, const std::vector<int32_t>& picks) {
  Voted out{std::vector<int32_t>(static_cast<size_t>(c.n_anchors)),
            std::vector<int32_t>(static_cast<size_t>(c.n_anchors))};
  int32_t n = 0;
  reference::vote({picks.data(), c.n_picks, c.begin, c.end, c.n_anchors, out.anchors.data(),
                   out.votes.data(), &n});
  out.anchors.resize(static_cast<size_t>(n));
  out.votes.resize(static_cast<size_t>(n));
  return out;
}

// One sequence's arrays in device memory, guarded by poison behind their ends.
class DeviceVote {
 public:
  DeviceVote(const VoteCase& c, const std::vector<int32_t>& picks)
      : n_anchors_(static_cast<size_t>(c.n_anchors)),
        picks_(picks.empty() ? std::vector<int32_t>{5} : picks),
        anchors_(std::vector<int32_t>(n_anchors_ + 8, kPoison)),
        votes_(std::vector<int32_t>(n_anchors_ + 8, kPoison)),
        n_found_(std::vector<int32_t>(1, kPoison)),
        args({picks_.data(), c.n_picks, c.begin, c.end, c.n_anchors, anchors_.data(), votes_.data(),
              n_found_.data()}) {}

  Voted result() const {
    const int32_t n = n_found_.download()[0];
    Voted out{anchors_.download(), votes_.download()};
    EXPECT_GE(n, 0);
    EXPECT_LE(n, static_cast<int32_t>(n_anchors_));
    for (size_t i = n_anchors_; i < n_anchors_ + 8; ++i) {
      EXPECT_EQ(out.anchors[i], kPoison);
      EXPECT_EQ(out.votes[i], kPoison);
    }
    out.anchors.resize(static_cast<size_t>(std::clamp<int32_t>(n, 0, n_anchors_)));
    out.votes.resize(out.anchors.size());
    return out;
  }

 private:
  size_t n_anchors_;
  DeviceArray<int32_t> picks_, anchors_, votes_, n_found_;

 public:
  VoteArgs args;
};

const VoteCase kVoteCases[] = {
    {0, 32, 5000, 16, 0},
    {1, 32, 33, 16, 0},
    {36, 32, 4000, 8, 10, 10},
    {128, 32, 100'000, 127, 60},
    {128, 32, 100'000, 0, 60},
    {128, 0, 7, 256, 0},
    {255, 10, 3000, 1, 40, 30},
    {256, 10, 2'000'000'000, 256, 0},
    {257, 10, 2'000'000, 100, 120},
    {1024, 32, 1'000'000, 256, 300, 5},
    {4096, 32, 131'072, 1000, 2000},
    {4096, 32, 131'072, 4000, 0},
    {4097, 32, 131'072, 127, 900},
    {4097, 100, 101, 127, 0, 50},
    {18'432, 32, 120'000, 127, 4000, 2, 5},
    {65'536, 32, 131'072, 256, 0},
    {65'536, 32, 1'048'576, 256, 0, 0, 3},
    {65'536, 4, 1'048'571, 256, 9000},
    {65'536, 32, 60'001, 1024, 3000, 1, 1},
    {65'536, 32, 131'072, 1, 2, 100},
    {65'536, 32, 131'072, 1, 7},
    {65'536, 32, 131'072, 16, 0, 0, 1},
    {65'536, 32, 131'072, 20'000, 0},
    {65'536, 32, 131'072, 70'000, 0},
    {262'144, 32, 4'194'304, 1024, 200'000, 3, 10},
    {262'144, 7, 4'194'309, 1023, 0},
};

TEST_F(CudaVote, EqualsTheReference) {
  unsigned seed = 1;
  for (const VoteCase& c : kVoteCases) {
    const std::vector<int32_t> picks = draw_picks(c, seed++);
    DeviceVote on_device(c, picks);
    const Voted want = reference_vote(c, picks);
    for (int run = 0; run < 2; ++run) {  // the second finds used working memory
      device().vote(stream_, {&on_device.args, 1});
      const Voted got = on_device.result();
      EXPECT_EQ(got.anchors, want.anchors) << c;
      EXPECT_EQ(got.votes, want.votes) << c;
    }
  }
}

TEST_F(CudaVote, ServesListsOfAllSizes) {
  std::vector<std::unique_ptr<DeviceVote>> sequences;
  std::vector<VoteArgs> list;
  std::vector<Voted> want;
  unsigned seed = 100;
  for (int round = 0; round < 3; ++round) {
    for (const VoteCase& c : kVoteCases) {
      const std::vector<int32_t> picks = draw_picks(c, seed++);
      sequences.push_back(std::make_unique<DeviceVote>(c, picks));
      list.push_back(sequences.back()->args);
      want.push_back(reference_vote(c, picks));
    }
  }
  device().vote(stream_, list);
  for (size_t i = 0; i < list.size(); ++i) EXPECT_TRUE(sequences[i]->result() == want[i]) << i;
}

struct ExpandCase {
  int32_t n_anchors;
  int32_t span;
  int64_t begin, end;
  bool sorted_by_vote = false;  // false: any order
};

std::vector<int32_t> reference_expand(const ExpandCase& c, const std::vector<int32_t>& anchors) {
  std::vector<int32_t> positions(anchors.size() * static_cast<size_t>(c.span));
  int32_t n = 0;
  reference::expand({anchors.data(), &c.n_anchors, c.span, c.begin, c.end, positions.data(), &n});
  positions.resize(static_cast<size_t>(n));
  return positions;
}

TEST_F(CudaExpand, EqualsTheReferenceInOneList) {
  const ExpandCase cases[] = {
      {0, 32, 32, 5000},
      {1, 32, 32, 33},
      {1, 1, 0, 1},
      {36, 32, 32, 2000},
      {127, 32, 32, 4000},
      {127, 32, 32, 1'000'000},
      {256, 32, 32, 131'072},
      {256, 16, 32, 1'048'576},
      {1024, 3, 0, 10'000},
      {1023, 100, 5, 4'194'304},
      {4096, 1, 5, 4'194'304},
      {4097, 1, 5, 20'000},
      {9000, 7, 5, 1'048'577},
      {12'000, 2, 31, 30'001},
      {50, 4096, 31, 300'000},
      {3, 1'000'000, 31, 5000},
      {2, 33, 100, 2'000'000'000},
  };
  std::mt19937_64 random(3);
  std::vector<std::unique_ptr<DeviceArray<int32_t>>> memory;
  const auto keep = [&](const std::vector<int32_t>& values) {
    memory.push_back(std::make_unique<DeviceArray<int32_t>>(values));
    return memory.back()->data();
  };
  std::vector<ExpandArgs> list;
  std::vector<std::vector<int32_t>> want;
  std::vector<size_t> outputs;
  for (const ExpandCase& c : cases) {
    std::vector<int32_t> anchors;
    for (int32_t i = 0; i < c.n_anchors; ++i) {
      anchors.push_back(static_cast<int32_t>(
          c.begin + static_cast<int64_t>(random() % static_cast<uint64_t>(c.end - c.begin))));
    }
    const size_t room = anchors.size() * static_cast<size_t>(c.span);
    const int32_t* on_device = keep(anchors.empty() ? std::vector<int32_t>{1} : anchors);
    const int32_t* n_anchors = keep({c.n_anchors});
    outputs.push_back(memory.size());
    int32_t* positions = keep(std::vector<int32_t>(room + 8, kPoison));
    int32_t* n_positions = keep({kPoison});
    list.push_back({on_device, n_anchors, c.span, c.begin, c.end, positions, n_positions});
    want.push_back(reference_expand(c, anchors));
  }
  for (int run = 0; run < 2; ++run) {
    device().expand(stream_, list);
    for (size_t i = 0; i < list.size(); ++i) {
      std::vector<int32_t> got = memory[outputs[i]]->download();
      const size_t n = want[i].size();
      EXPECT_EQ(memory[outputs[i] + 1]->download()[0], static_cast<int32_t>(n)) << i;
      for (size_t j = got.size() - 8; j < got.size(); ++j) EXPECT_EQ(got[j], kPoison) << i;
      got.resize(n);
      EXPECT_EQ(got, want[i]) << i;
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
