// Snapshots: the same answer after save and open, and nothing damaged or foreign ever gets in.
#include "tests/core/engine_fixture.hpp"

namespace reattn::engine {
namespace {

const std::string kDocument = document(2600);  // more than one page of 512 tokens
const std::string kQuestion = "\nWhich room? ";

class SnapshotTest : public EngineTest {
 protected:
  void SetUp() override { file_ = temp_path("doc.reattn"); }
  void TearDown() override { std::remove(file_.c_str()); }
  std::shared_ptr<const cache::Snapshot> open_file() {
    return cache::open(file_, model()->identity(), model()->device());
  }
  std::string slurp() {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void spit(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string file_;
};

TEST_F(SnapshotTest, SaveAndOpenGiveTheSameAnswer) {
  for (const auto dtype : {kernels::DType::kF32, kernels::DType::kF16}) {
    select::Settings settings = small_settings();
    settings.kv_dtype = dtype;
    auto s = read(kDocument, settings);
    ASSERT_GT(s->info().n_pages, 1);
    cache::save(*s->snapshot(), file_);
    const auto snapshot = open_file();
    auto again = Session::create(model(), snapshot->settings, *snapshot);
    EXPECT_EQ(again->text(0, again->info().n_tokens), kDocument);
    auto third = Session::create(model(), snapshot->settings, *snapshot);
    s->append_text(kQuestion, {});
    const Answer expected = ask(s, 10);
    for (auto& other : {again, third}) {
      other->append_text(kQuestion, {});
      EXPECT_EQ(ask(other, 10), expected);
    }
  }
}

TEST_F(SnapshotTest, ASnapshotStaysWhatItWasWhileTheSessionGoesOn) {
  auto s = read(kDocument);
  const auto snapshot = s->snapshot();
  auto before = Session::create(model(), snapshot->settings, *snapshot);
  before->append_text(kQuestion, {});
  const Answer expected = ask(before, 8);
  s->append_text(document(700), {});
  ask(s, 8);
  auto after = Session::create(model(), snapshot->settings, *snapshot);
  after->append_text(kQuestion, {});
  EXPECT_EQ(ask(after, 8), expected);
}

TEST_F(SnapshotTest, GeneratesFromTheSnapshotAlone) {
  auto s = read(kDocument);
  cache::save(*s->snapshot(), file_);
  const auto snapshot = open_file();
  EXPECT_EQ(ask(Session::create(model(), snapshot->settings, *snapshot), 6), ask(s, 6));
}

TEST_F(SnapshotTest, SomeSettingsMayChangeAndOthersNot) {
  const auto snapshot = read(kDocument)->snapshot();
  const auto with = [&](auto change) {
    select::Settings s = snapshot->settings;
    change(s);
    return [=] { Session::create(model(), s, *snapshot); };
  };
  EXPECT_NO_THROW(with([](auto& s) { s.n_anchors = 0; })());
  EXPECT_NO_THROW(with([](auto& s) {
    s.n_local = 32;
    s.top_k = 1;
    s.span = 8;
    s.vote_stride = 2;
    s.max_tokens = 5000;
  })());
  expect_error(ErrorCode::kMismatch, {"chunk is 16"}, with([](auto& s) { s.chunk = 16; }));
  expect_error(ErrorCode::kMismatch, {"n_global is 4"}, with([](auto& s) { s.n_global = 4; }));
  expect_error(ErrorCode::kMismatch, {"kv_dtype"},
               with([](auto& s) { s.kv_dtype = kernels::DType::kF16; }));
  expect_error(ErrorCode::kMismatch, {"selection"},
               with([](auto& s) { s.selection = select::Selection::kBlock1; }));
  expect_error(ErrorCode::kArg, {"max_tokens is 3"}, with([](auto& s) { s.max_tokens = 3; }));
}

TEST_F(SnapshotTest, RefusesEveryFlippedByteAndEveryTruncation) {
  cache::save(*read(document(60))->snapshot(), file_);
  const std::string good = slurp();
  ASSERT_LT(good.size(), 100'000u);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    if (at > 1200 && at % 37 != 0) continue;  // the blocks of pages: a sample
    spit(bad);
    EXPECT_THROW(open_file(), Error) << "byte " << at;
  }
  for (size_t n = 0; n < good.size(); n += n < 400 ? 1 : good.size() / 100) {
    spit(good.substr(0, n));
    expect_error(ErrorCode::kFormat, {file_}, [&] { open_file(); });
  }
  spit(good + "x");
  expect_error(ErrorCode::kFormat, {"header asks for"}, [&] { open_file(); });
  spit(good);
  EXPECT_NO_THROW(open_file());
}

TEST_F(SnapshotTest, RefusesAnotherModelsSnapshot) {
  cache::save(*read(kDocument)->snapshot(), file_);
  const std::string path = write_model("other.gguf", {.seed = 2});
  const auto other = Model::open(path, kernels::make_cpu_device(1), nullptr);
  std::remove(path.c_str());
  expect_error(ErrorCode::kMismatch, {"weights fingerprint"},
               [&] { cache::open(file_, other->identity(), other->device()); });
  const auto snapshot = open_file();
  expect_error(ErrorCode::kMismatch, {"another model"},
               [&] { Session::create(other, snapshot->settings, *snapshot); });
}

TEST_F(SnapshotTest, AFailedSaveLeavesTheOldFile) {
  auto s = read(document(60));
  cache::save(*s->snapshot(), file_);
  const std::string good = slurp();
  expect_error(ErrorCode::kIo, {"/no/such"},
               [&] { cache::save(*s->snapshot(), "/no/such/dir/x"); });
  cache::save(*s->snapshot(), file_);
  EXPECT_EQ(slurp(), good) << "the same session, the same bytes";
}

}  // namespace
}  // namespace reattn::engine
