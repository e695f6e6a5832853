// Files whose every operation fails once: the error is named, a file that was there stays whole, nothing is left beside it.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <span>

#include "tests/capi/api.hpp"
#include "tests/support/safetensors_builder.hpp"
#include "tests/trust/fault.hpp"

namespace reattn::test {
namespace {

struct Failure {
  const char* name;
  Call call;
  int error;  // 0: half of what is asked
  bool is_harmless;
};

// EINTR and half a read or write are no failures: the operation goes on.
constexpr Failure kFailures[] = {
    {"stat EIO", Call::kStat, EIO, false},         {"open EIO", Call::kOpen, EIO, false},
    {"open EMFILE", Call::kOpen, EMFILE, false},   {"open EINTR", Call::kOpen, EINTR, true},
    {"read EIO", Call::kRead, EIO, false},         {"read EINTR", Call::kRead, EINTR, true},
    {"read half", Call::kRead, 0, true},           {"write EIO", Call::kWrite, EIO, false},
    {"write ENOSPC", Call::kWrite, ENOSPC, false}, {"write EDQUOT", Call::kWrite, EDQUOT, false},
    {"write EINTR", Call::kWrite, EINTR, true},    {"write half", Call::kWrite, 0, true},
    {"fsync EIO", Call::kSync, EIO, false},        {"fsync ENOSPC", Call::kSync, ENOSPC, false},
    {"fsync EINTR", Call::kSync, EINTR, true},     {"close EIO", Call::kClose, EIO, false},
    {"close ENOSPC", Call::kClose, ENOSPC, false}, {"close EINTR", Call::kClose, EINTR, true},
    {"rename EIO", Call::kRename, EIO, false},     {"rename ENOSPC", Call::kRename, ENOSPC, false},
    {"fchmod EPERM", Call::kChmod, EPERM, false},
};

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    out.insert(entry.path().filename());
  }
  return out;
}

int n_open_files() {
  const auto fds = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<int>(std::distance(begin(fds), end(fds)));
}

class IoFailure : public ApiTest {
 protected:
  static Cache snapshot_of(size_t n_bytes) {
    const Session s = read(document(n_bytes));
    reattn_cache* cache = nullptr;
    EXPECT_OK(call(reattn_cache_snapshot, s.get(), &cache));
    return Cache(cache);
  }

  // Fails each of act's operations once, for every kind of failure. `act` calls the library and nothing else.
  static void fail_each(const std::function<reattn_status(reattn_error**)>& act,
                        const std::string& path,
                        const std::function<void(const Result&, const std::string& what)>& check,
                        int n_expected) {
    int n_points = 0;
    for (const Failure& f : kFailures) {
      bool has_failed = true;
      for (int64_t at = 0; has_failed; ++at) {
        const int n_files = n_open_files();
        reattn_error* err = nullptr;
        arm({.calls = static_cast<uint32_t>(f.call), .at = at, .error = f.error});
        const reattn_status status = act(&err);
        has_failed = disarm();
        const Result result{status, err ? reattn_error_message(err) : ""};
        reattn_error_free(err);
        const std::string what = std::string(f.name) + " at " + std::to_string(at);
        if (!has_failed || f.is_harmless) {
          EXPECT_EQ(status, REATTN_OK) << what << ": " << result;
        } else if (f.call !=
                   Call::kClose) {  // closing a folder, or a file only read, loses nothing
          EXPECT_EQ(status, REATTN_E_IO) << what << ": " << result;
        }
        if (status != REATTN_OK) {
          EXPECT_EQ(status, REATTN_E_IO) << what << ": " << result;
          EXPECT_NE(result.message.find(path), std::string::npos) << what << ": " << result;
          const std::string reason = std::generic_category().message(f.error);
          EXPECT_NE(result.message.find(reason), std::string::npos) << what << ": " << result;
        }
        EXPECT_EQ(n_open_files(), n_files) << what;
        check(result, what);
        n_points += has_failed;
      }
    }
    EXPECT_GE(n_points, n_expected);
    std::printf("%d failures survived\n", n_points);
    RecordProperty("failures", std::to_string(n_points));
  }

  // A file that shrinks while `open` reads it, from each read on once.
  template <class F>
  static void shrink_while(F&& open) {
    for (int64_t at = 0;; ++at) {
      reattn_error* err = nullptr;
      arm({.calls = static_cast<uint32_t>(Call::kRead), .at = at, .ends_early = true});
      const reattn_status status = open(&err);
      const bool has_ended = disarm();
      EXPECT_EQ(status, has_ended ? REATTN_E_FORMAT : REATTN_OK) << at;
      reattn_error_free(err);
      if (!has_ended) break;
    }
  }

  // Opens the model, each operation failing once, and then with a file that shrinks while it is read.
  static void fail_to_open(const std::string& path) {
    reattn_model_options options;
    ASSERT_OK(call(reattn_model_options_init, &options, sizeof options));
    options.device = REATTN_DEVICE_CPU;
    options.n_threads = 1;
    const auto open = [&](reattn_error** err) {
      reattn_model* m = nullptr;
      reattn_status status = reattn_model_open(bytes(path), path.size(), &options, &m, err);
      if (status == REATTN_OK) status = reattn_model_wait(m, -1, nullptr, err);
      reattn_model_free(m);
      return status;
    };
    fail_each(
        open, path, [](const Result&, const std::string&) {}, 60);

    shrink_while(open);
  }
};

TEST_F(IoFailure, Save) {
  const TemporaryDirectory dir;
  const std::string path = dir.file("saved.reattn"), other = dir.file("other.reattn");
  const Cache before = snapshot_of(200), after = snapshot_of(3000);  // two pages
  const auto save = [](const Cache& cache, const std::string& to, reattn_error** err) {
    return reattn_cache_save(cache.get(), bytes(to), to.size(), err);
  };
  ASSERT_EQ(save(after, other, nullptr), REATTN_OK);
  const std::string new_bytes = slurp(other);
  std::filesystem::remove(other);
  ASSERT_EQ(save(before, path, nullptr), REATTN_OK);
  const std::string old_bytes = slurp(path);
  ASSERT_NE(old_bytes, new_bytes);
  fail_each([&](reattn_error** err) { return save(after, path, err); }, path,
            [&](const Result& result, const std::string& what) {
              const bool is_in_place = result.status == REATTN_OK ||
                                       result.message.find("is in place") != std::string::npos;
              EXPECT_EQ(slurp(path) == new_bytes, is_in_place) << what << ": " << result;
              EXPECT_EQ(slurp(path) == old_bytes, !is_in_place) << what << ": " << result;
              EXPECT_EQ(names_in(dir.path()), std::set<std::string>{"saved.reattn"}) << what;
              ASSERT_EQ(save(before, path, nullptr), REATTN_OK);
            },
            100);
}

TEST_F(IoFailure, OpenASnapshot) {
  const TemporaryDirectory dir;
  const std::string path = dir.file("opened.reattn");
  const Cache saved = snapshot_of(1000);
  ASSERT_OK(call(reattn_cache_save, saved.get(), bytes(path), path.size()));
  model();
  const auto open = [&](reattn_error** err) {
    reattn_cache* cache = nullptr;
    const reattn_status status = reattn_cache_open(model(), bytes(path), path.size(), &cache, err);
    reattn_cache_free(cache);
    return status;
  };
  fail_each(
      open, path, [](const Result&, const std::string&) {}, 30);

  shrink_while(open);
}

TEST_F(IoFailure, OpenAModel) {
  fail_to_open(model_path());
}

TEST_F(IoFailure, OpenAFolder) {
  const TemporaryDirectory dir;
  auto files = TinyFolder().files();
  files["generation_config.json"] = {std::byte{'{'}, std::byte{'}'}};
  const std::string text = "{{ messages }}";
  const auto content = std::as_bytes(std::span(text));
  files["chat_template.jinja"] = {content.begin(), content.end()};
  write_files(dir.file("folder"), files);
  fail_to_open(dir.file("folder"));
}

}  // namespace
}  // namespace reattn::test
