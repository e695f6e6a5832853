// Versions, names, devices, the log, and the rules for growing structs.
#include <array>
#include <cstring>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

TEST(Library, NamesItsVersionAndEveryStatus) {
  EXPECT_EQ(reattn_abi_version(), REATTN_ABI_VERSION);
  EXPECT_STREQ(reattn_version(), REATTN_TEST_VERSION);
  EXPECT_STREQ(reattn_status_name(REATTN_OK), "OK");
  EXPECT_STREQ(reattn_status_name(REATTN_TIMEOUT), "TIMEOUT");
  for (reattn_status s = REATTN_E_IO; s <= REATTN_TIMEOUT; ++s) {
    EXPECT_STRNE(reattn_status_name(s), "UNKNOWN") << s;
  }
  EXPECT_STREQ(reattn_status_name(REATTN_E_IO - 1), "UNKNOWN");
  EXPECT_STREQ(reattn_status_name(INT32_MAX), "UNKNOWN");
}

TEST(Library, ErrorsAreOptional) {
  EXPECT_EQ(reattn_device_count(nullptr, nullptr), REATTN_E_ARG);
  EXPECT_EQ(reattn_model_wait(nullptr, 0, nullptr, nullptr), REATTN_E_HANDLE);
}

TEST(Library, ErrorsOutliveOthersAndDieOnce) {
  reattn_error* first = nullptr;
  reattn_error* second = nullptr;
  EXPECT_EQ(reattn_device_count(nullptr, &first), REATTN_E_ARG);
  EXPECT_EQ(reattn_model_wait(nullptr, 0, nullptr, &second), REATTN_E_HANDLE);
  EXPECT_STREQ(reattn_error_message(first), "'out_count' is NULL");
  EXPECT_STREQ(reattn_error_message(second), "'model' is not a live model handle");
  reattn_error_free(second);
  reattn_error_free(second);
  EXPECT_EQ(reattn_error_code(first), REATTN_E_ARG);
  EXPECT_EQ(reattn_error_code(second), REATTN_E_HANDLE);
  EXPECT_STREQ(reattn_error_message(second), "'error' is not a live error handle");
  reattn_error_free(first);
  reattn_error_free(nullptr);
  EXPECT_EQ(reattn_error_code(nullptr), REATTN_E_HANDLE);
}

int32_t n_devices() {
  int32_t count = 0;
  EXPECT_OK(call(reattn_device_count, &count));
  return count;
}

TEST(Device, DescribesTheCpu) {
  const int32_t count = n_devices();
  ASSERT_GE(count, 1);
  auto info = sized<reattn_device_info>();
  EXPECT_OK(call(reattn_device_get_info, 0, &info));
  EXPECT_EQ(info.kind, REATTN_DEVICE_CPU);
  EXPECT_GT(info.memory_total, 0u);
  EXPECT_LE(info.memory_free, info.memory_total);
  EXPECT_GE(info.n_threads, 1);
  EXPECT_GT(std::strlen(info.name), 0u);
  EXPECT_GT(std::strlen(info.instructions), 0u);
  EXPECT_FAILS(REATTN_E_ARG, "index " + std::to_string(count),
               call(reattn_device_get_info, count, &info));
  EXPECT_FAILS(REATTN_E_ARG, "index -1", call(reattn_device_get_info, -1, &info));
}

TEST(Device, DescribesEachCudaDevice) {
  const int32_t count = n_devices();
  if (count == 1) GTEST_SKIP() << "no CUDA device";
  for (int32_t i = 1; i < count; ++i) {
    auto info = sized<reattn_device_info>();
    EXPECT_OK(call(reattn_device_get_info, i, &info));
    EXPECT_EQ(info.kind, REATTN_DEVICE_CUDA);
    EXPECT_EQ(info.index, i);
    EXPECT_GT(info.memory_free, 0u);
    EXPECT_GT(std::strlen(info.name), 0u);
  }
}

TEST(Device, CudaIsRefusedWithTheReason) {
  reattn_model_options options;
  EXPECT_OK(call(reattn_model_options_init, &options, sizeof options));
  options.device = REATTN_DEVICE_CUDA;
  options.device_index = n_devices() - 1;  // one more than there are
  reattn_model* model = nullptr;
  const std::string& path = model_path();
  const char* reason = n_devices() > 1 ? "there is no device" : "";
  EXPECT_FAILS(REATTN_E_NO_DEVICE, reason,
               call(reattn_model_open, bytes(path), path.size(), &options, &model));
  EXPECT_EQ(model, nullptr);
  options.device_index = -1;
  EXPECT_FAILS(REATTN_E_ARG, "device_index is -1",
               call(reattn_model_open, bytes(path), path.size(), &options, &model));
  options.device = REATTN_DEVICE_CPU;
  options.device_index = 1;
  EXPECT_FAILS(REATTN_E_ARG, "device_index is 1",
               call(reattn_model_open, bytes(path), path.size(), &options, &model));
  options.device_index = 0;
  options.device = 3;
  EXPECT_FAILS(REATTN_E_ARG, "device is 3",
               call(reattn_model_open, bytes(path), path.size(), &options, &model));
}

std::string diagnosis() {
  uint64_t needed = 0;
  EXPECT_EQ(call(reattn_backend_diagnose, nullptr, 0, &needed).status, REATTN_E_BUFFER);
  std::string text(needed, '\0');
  EXPECT_OK(
      call(reattn_backend_diagnose, reinterpret_cast<uint8_t*>(text.data()), needed, &needed));
  return text;
}

TEST(Backend, SaysWhatCanBeUsedAndWhyNot) {
  const std::string text = diagnosis();
  EXPECT_EQ(text.find("CPU: "), 0u) << text;
  EXPECT_NE(text.find(n_devices() > 1 ? "\nCUDA: device 0: " : "\nCUDA: cannot be used: "),
            std::string::npos)
      << text;
}

TEST(Backend, RefusesWhatIsNoPluginOfThisBuild) {
  const auto load = [](const std::string& path) {
    return call(reattn_backend_load, bytes(path), path.size());
  };
  if (diagnosis().find("CUDA: plug-in ") != std::string::npos) {
    EXPECT_FAILS(REATTN_E_BUSY, "is in use", load("elsewhere.so"));
    return;
  }
  EXPECT_FAILS(REATTN_E_NO_DEVICE, "no/such/plugin.so", load("no/such/plugin.so"));
  EXPECT_FAILS(REATTN_E_NO_DEVICE, "is no plug-in of libreattn", load("libc.so.6"));
  EXPECT_FAILS(REATTN_E_NO_DEVICE, "belongs to another build", load(REATTN_TEST_FOREIGN_PLUGIN));
  EXPECT_FAILS(REATTN_E_ARG, "'path' is empty", load(""));
}

// Empties the log; the messages in order.
std::vector<std::string> drain_log() {
  std::vector<std::string> out;
  uint64_t last = 0;
  for (;;) {
    auto event = sized<reattn_log_event>();
    std::array<uint8_t, 1024> buffer;
    const Result r = call(reattn_log_next, &event, buffer.data(), buffer.size(), nullptr);
    if (r.status == REATTN_END) return out;
    EXPECT_EQ(r.status, REATTN_OK) << r;
    EXPECT_GT(event.sequence, last);
    last = event.sequence;
    out.emplace_back(reinterpret_cast<const char*>(buffer.data()), event.text_bytes);
  }
}

TEST(Log, SaysWhatAutoChose) {
  drain_log();
  reattn_model* model = nullptr;
  const std::string& path = model_path();
  EXPECT_OK(call(reattn_model_open, bytes(path), path.size(), nullptr, &model));
  EXPECT_OK(call(reattn_model_wait, model, int64_t{-1}, nullptr));
  reattn_model_free(model);
  const auto messages = drain_log();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].find(n_devices() > 1 ? "device AUTO chose CUDA" : "device AUTO chose CPU"),
            0u)
      << messages[0];
  EXPECT_NE(messages[1].find(model_path()), std::string::npos) << messages[1];
}

TEST(Log, KeepsAMessageThatDoesNotFitAndDropsTheOldest) {
  drain_log();
  open_model(model_path());
  auto event = sized<reattn_log_event>();
  uint64_t needed = 0;
  EXPECT_FAILS(REATTN_E_BUFFER, "room for 0", call(reattn_log_next, &event, nullptr, 0u, &needed));
  EXPECT_EQ(event.sequence, 0u) << "untouched";
  std::vector<uint8_t> buffer(needed);
  EXPECT_OK(call(reattn_log_next, &event, buffer.data(), buffer.size(), &needed));
  const uint64_t first = event.sequence;
  EXPECT_EQ(event.text_bytes, buffer.size());

  for (int i = 0; i < 300; ++i) open_model(model_path());  // a message each
  buffer.resize(1024);
  EXPECT_OK(call(reattn_log_next, &event, buffer.data(), buffer.size(), nullptr));
  EXPECT_GT(event.sequence, first + 1) << "the gap tells what was lost";
  EXPECT_EQ(drain_log().size(), 255u);
}

struct GrownOptions {
  reattn_request_options known;
  uint64_t later;
};

TEST(Structs, InitServesOlderAndNewerCallers) {
  GrownOptions grown;
  std::memset(&grown, 0xAA, sizeof grown);
  EXPECT_OK(call(reattn_request_options_init, &grown.known, sizeof grown));
  EXPECT_EQ(grown.known.struct_size, sizeof grown);
  EXPECT_EQ(grown.known.top_p, 1.0f);
  EXPECT_EQ(grown.later, 0u) << "what the library does not know is zero";

  reattn_request_options older;
  std::memset(&older, 0xAA, sizeof older);
  constexpr size_t kOlder = offsetof(reattn_request_options, temperature);
  EXPECT_OK(call(reattn_request_options_init, &older, kOlder));
  EXPECT_EQ(older.struct_size, kOlder);
  EXPECT_EQ(older.max_tokens, 0);
  uint32_t beyond;
  std::memcpy(&beyond, &older.temperature, sizeof beyond);
  EXPECT_EQ(beyond, 0xAAAAAAAAu) << "written past the caller's struct";

  EXPECT_FAILS(REATTN_E_ARG, "struct_size is 0", call(reattn_request_options_init, &older, 0u));
  EXPECT_FAILS(REATTN_E_ARG, "struct_size is 1000000",
               call(reattn_request_options_init, &older, 1000000u));
}

using StructsTest = ApiTest;

TEST_F(StructsTest, UnknownFieldsMustBeZero) {
  const Session s = read("something to go on from");
  GrownOptions grown{};
  EXPECT_OK(call(reattn_request_options_init, &grown.known, sizeof grown));
  grown.later = 1;
  reattn_request* request = nullptr;
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "at byte 48",
               call(reattn_request_create, s.get(), &grown.known, &request));
  grown.later = 0;
  EXPECT_OK(call(reattn_request_create, s.get(), &grown.known, &request));
  reattn_request_free(request);
}

TEST_F(StructsTest, FieldsAnOlderCallerLacksHaveTheirDefaults) {
  const Session s = read("something to go on from");
  reattn_request_options older;
  EXPECT_OK(call(reattn_request_options_init, &older, sizeof older));
  older.struct_size = offsetof(reattn_request_options, temperature);
  older.top_p = -7;  // refused if it were read
  reattn_request* request = nullptr;
  EXPECT_OK(call(reattn_request_create, s.get(), &older, &request));
  reattn_request_free(request);
}

TEST_F(StructsTest, OutputsKeepToTheCallersSize) {
  struct {
    reattn_model_info known;
    uint64_t later;
  } info;
  std::memset(&info, 0xAA, sizeof info);
  info.known.struct_size = sizeof info;
  EXPECT_OK(call(reattn_model_get_info, model(), &info.known));
  EXPECT_EQ(info.known.struct_size, sizeof info);
  EXPECT_EQ(info.known.n_layers, 2);
  EXPECT_EQ(info.later, 0u);

  std::memset(&info, 0xAA, sizeof info);
  info.known.struct_size = offsetof(reattn_model_info, n_embd);
  EXPECT_OK(call(reattn_model_get_info, model(), &info.known));
  EXPECT_EQ(info.known.n_layers, 2);
  EXPECT_EQ(info.known.n_embd, static_cast<int64_t>(0xAAAAAAAAAAAAAAAA));
  info.known.struct_size = 0;
  EXPECT_FAILS(REATTN_E_ARG, "out_info", call(reattn_model_get_info, model(), &info.known));
}

}  // namespace
}  // namespace reattn::test
