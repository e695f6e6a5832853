// The chat of reattn run, with questions from a pipe.
#include "tests/cli/fixture.hpp"

namespace reattn::test {
namespace {

class Chat : public Command {
 protected:
  static std::string talk(const std::string& lines, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"run", model(), "--max-tokens", "8"};
    args.insert(args.end(), more.begin(), more.end());
    return succeed(args, lines);
  }
};

TEST_F(Chat, WithoutInputNothingIsSaid) {
  EXPECT_EQ(talk(""), "");
}

TEST_F(Chat, FirstTurnIsThePromptsAnswer) {
  EXPECT_EQ(talk("Hello.\n"), talk("", {"--prompt", "Hello."}));
  EXPECT_EQ(talk("Hello.\n", {"--file", document()}),
            talk("", {"--prompt", "Hello.", "--file", document()}));
}

TEST_F(Chat, LaterTurnsRememberUntilReset) {
  const std::string answer = talk("Hello.\n");
  const std::string both = talk("Hello.\nHello.\n");
  ASSERT_EQ(both.rfind(answer, 0), 0u);
  EXPECT_NE(both, answer + answer);
  EXPECT_EQ(talk("Hello.\n/reset\nHello.\n"), answer + answer);
}

TEST_F(Chat, QuitEndsIt) {
  EXPECT_EQ(talk("/quit\nHello.\n"), "");
}

TEST_F(Chat, Commands) {
  EXPECT_NE(talk("/help\n").find("/quit"), std::string::npos);
  EXPECT_NE(talk("/nonsense\n").find("/quit"), std::string::npos);
  EXPECT_EQ(talk("/recalled\n"), "nothing was asked yet\n");
  EXPECT_NE(talk("Hello.\n/recalled\n", {"--file", document()}).find(" votes: "),
            std::string::npos);
}

}  // namespace
}  // namespace reattn::test
