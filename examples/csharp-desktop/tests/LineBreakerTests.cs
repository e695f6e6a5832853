using System.Linq;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class LineBreakerTests
    {
        /// <summary>The lines of a text whose characters are all one wide.</summary>
        private static string[] Lines(string text, float most)
        {
            int[] starts = LineBreaker.Break(text, most, index => 1);
            return starts.Select((begin, i) =>
                text.Substring(begin, (i + 1 < starts.Length ? starts[i + 1] : text.Length) - begin)).ToArray();
        }

        [Test]
        public void Lines_end_between_words()
        {
            Assert.AreEqual(new[] { "In the ", "beginning ", "God" }, Lines("In the beginning God", 10));
            Assert.AreEqual(new[] { "exactly10! ", "more" }, Lines("exactly10! more", 10), "the space hangs over");
            Assert.AreEqual(new[] { "well-", "known" }, Lines("well-known", 6));
        }

        [Test]
        public void Lines_end_where_the_text_says_so()
        {
            Assert.AreEqual(new[] { "a\n", "\n", "b\n", "" }, Lines("a\n\nb\n", 10));
            Assert.AreEqual(new[] { "" }, Lines("", 10));
        }

        [Test]
        public void Long_words_and_scripts_without_spaces_are_cut()
        {
            Assert.AreEqual(new[] { "abcd", "efgh", "ij" }, Lines("abcdefghij", 4));
            Assert.AreEqual(new[] { "日本の", "船が来", "た" }, Lines("日本の船が来た", 3));
            Assert.AreEqual(new[] { "ab ", "abcd", "ef" }, Lines("ab abcdef", 4));
        }

        [Test]
        public void A_character_is_never_cut()
        {
            Assert.AreEqual(new[] { "🐟🐟", "🐟🐟", "🐟" }, Lines("🐟🐟🐟🐟🐟", 2));
            Assert.AreEqual(new[] { "🐟", "🐟" }, Lines("🐟🐟", 0.5f), "not even one that is too wide");
        }

        [Test]
        public void A_character_has_a_line()
        {
            int[] starts = { 0, 4, 9 };
            Assert.AreEqual(new[] { 0, 0, 1, 1, 2, 2 }, new[] { 0, 3, 4, 8, 9, 100 }.Select(at => LineBreaker.LineOf(starts, at)));
        }
    }
}
