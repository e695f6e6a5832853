// What the command says to wrong usage and bad input: one line, the right status, nothing on
// standard output.
#include <algorithm>

#include "tests/cli/fixture.hpp"
#include "tests/support/tiny_llama.hpp"

namespace reattn::test {
namespace {

class Usage : public Command {
 protected:
  static void expect_refusal(const std::vector<std::string>& args, int status,
                             const std::vector<std::string>& named) {
    const Outcome outcome = reattn_command(args);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("reattn: ", 0), 0u) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& word : named) {
      EXPECT_NE(outcome.err.find(word), std::string::npos) << word << ": " << outcome.err;
    }
  }
};

TEST_F(Usage, NoSubcommand) {
  expect_refusal({}, 2, {"subcommand"});
}

TEST_F(Usage, UnknownSubcommand) {
  expect_refusal({"walk"}, 2, {"walk"});
}

TEST_F(Usage, UnknownOption) {
  expect_refusal({"run", model(), "--colour", "red"}, 2, {"--colour"});
}

TEST_F(Usage, NotANumber) {
  expect_refusal({"run", model(), "--span", "wide"}, 2, {"--span"});
}

TEST_F(Usage, NegativeThreads) {
  expect_refusal({"info", model(), "--threads", "-1"}, 2, {"--threads"});
}

TEST_F(Usage, UnknownPreset) {
  expect_refusal({"run", model(), "--preset", "best"}, 2, {"--preset", "best"});
}

TEST_F(Usage, Bf16OnTheCpu) {
  expect_refusal({"info", model(), "--kv", "bf16"}, 1, {"kv_dtype is BF16", "'cpu'"});
}

TEST_F(Usage, EmptyPrompt) {
  expect_refusal({"run", model(), "--file", document(), "--prompt", ""}, 2, {"--prompt", "empty"});
}

TEST_F(Usage, EndlessFile) {
  expect_refusal({"run", model(), "--file", "/dev/zero", "--prompt", "x"}, 1,
                 {"/dev/zero", "1 GiB"});
}

TEST_F(Usage, FileAndSnapshot) {
  expect_refusal({"run", model(), "--file", document(), "--snapshot", document()}, 2,
                 {"--file", "--snapshot"});
}

TEST_F(Usage, SystemMessageWithoutTemplate) {
  expect_refusal({"run", model(), "--raw", "--system", "Be brief.", "--prompt", "Hi"}, 2,
                 {"--system", "--raw"});
}

TEST_F(Usage, ScoreWithoutAnswer) {
  expect_refusal({"score", model(), "--prompt", "Which colour?"}, 2, {"--answer"});
}

TEST_F(Usage, MissingModel) {
  expect_refusal({"info", file("no.gguf")}, 1, {file("no.gguf"), "No such file"});
}

TEST_F(Usage, DirectoryAsModel) {
  expect_refusal({"run", file("."), "--prompt", "Hi"}, 1, {file(".")});
}

TEST_F(Usage, NoModelFile) {
  expect_refusal({"run", document(), "--prompt", "Hi"}, 1, {document(), "magic"});
}

TEST_F(Usage, MissingDocument) {
  expect_refusal({"run", model(), "--file", file("no.txt"), "--prompt", "Hi"}, 1,
                 {file("no.txt"), "No such file"});
}

TEST_F(Usage, DirectoryAsDocument) {
  expect_refusal({"run", model(), "--file", file("."), "--prompt", "Hi"}, 1,
                 {file("."), "directory"});
}

TEST_F(Usage, EmptyDocument) {
  const std::string path = write("empty.txt", "");
  expect_refusal({"run", model(), "--file", path, "--prompt", "Hi"}, 1, {path, "empty"});
}

TEST_F(Usage, DocumentThatIsNotUtf8) {
  const std::string path = write("latin1.txt", "caf\xe9 au lait");
  expect_refusal({"run", model(), "--file", path, "--prompt", "Hi"}, 1, {path, "UTF-8", "3"});
}

TEST_F(Usage, ScopeBeyondTheWindow) {
  expect_refusal({"run", model(), "--file", document(), "--prompt", "Hi", "--n-anchors", "100"}, 1,
                 {"scope", "100", "512"});
}

TEST_F(Usage, LocalBelowChunk) {
  expect_refusal({"run", model(), "--prompt", "Hi", "--n-local", "32", "--chunk", "64"}, 1,
                 {"n_local", "32", "64"});
}

TEST_F(Usage, FullAttentionBeyondTheWindow) {
  expect_refusal({"run", model(), "--file", document(), "--prompt", "Hi", "--selection", "full"}, 1,
                 {"512"});
}

TEST_F(Usage, Bf16CacheOnTheCpu) {
  expect_refusal({"run", model(), "--prompt", "Hi", "--device", "cpu", "--kv", "bf16"}, 1,
                 {"kv_dtype is BF16", "cpu"});
}

TEST_F(Usage, WeightsInFp8OnTheCpu) {
  expect_refusal({"run", model(), "--prompt", "Hi", "--device", "cpu", "--weights", "fp8"}, 1,
                 {"weights is fp8", "cpu"});
  expect_refusal({"bench", "--geometry", "llama-3.1-8b", "--device", "cpu", "--weights", "fp8"}, 1,
                 {"weights is fp8", "cpu"});
  expect_refusal({"info", model(), "--weights", "fp9"}, 2, {"fp9"});
}

TEST_F(Usage, NoCudaDevice) {
  expect_refusal({"run", model(), "--prompt", "Hi", "--device", "cuda"}, 1, {});
}

TEST_F(Usage, SnapshotOfAnotherModel) {
  const std::string other = file("other.gguf");
  write_file(other, tiny_llama({.seed = 2}));
  const std::string snapshot = file("other.snapshot");
  succeed({"run", other, "--file", document(), "--save", snapshot});
  expect_refusal({"run", model(), "--snapshot", snapshot, "--prompt", "Hi"}, 1, {snapshot});
}

TEST_F(Usage, NoSnapshotFile) {
  expect_refusal({"run", model(), "--snapshot", document(), "--prompt", "Hi"}, 1, {document()});
}

TEST_F(Usage, SnapshotCannotBeWritten) {
  expect_refusal(
      {"run", model(), "--file", document(), "--save", file("no/such/folder"), "--prompt", "Hi"}, 1,
      {file("no/such/folder")});
}

TEST_F(Usage, CaseThatIsNoJson) {
  expect_refusal({"trace", model(), document()}, 1, {document()});
}

TEST_F(Usage, QuestionsThatAreNoJson) {
  const std::string path =
      write("questions.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}\n[1]\n");
  expect_refusal({"score", model(), "--question-file", path}, 1, {path, "line 2"});
}

TEST_F(Usage, HelpAndVersion) {
  EXPECT_NE(succeed({"--help"}).find("bench"), std::string::npos);
  EXPECT_NE(succeed({"run", "--help"}).find("--show-recalled"), std::string::npos);
  EXPECT_EQ(succeed({"--version"}).rfind("reattn 0.", 0), 0u);
}

}  // namespace
}  // namespace reattn::test
