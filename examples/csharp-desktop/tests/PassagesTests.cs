using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class PassagesTests
    {
        private static List<Stretch> Layer(params Stretch[] spans)
        {
            return spans.ToList();
        }

        /// <summary>Passages of a text whose every byte is a token, after 3 tokens that are not its.</summary>
        private static string[] Placed(string text, params Stretch[] spans)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(text);
            return Passages.Place(spans, 3, text, (from, to) => utf8.Skip((int)from - 3).Take((int)(to - from)).ToArray())
                .Select(passage => text.Substring(passage.Begin, passage.End - passage.Begin)).ToArray();
        }

        [Test]
        public void The_most_voted_stretches_come_first()
        {
            var layers = new[] {
                Layer(new Stretch(200, 216, 50), new Stretch(20, 36, 9)),
                Layer(new Stretch(208, 224, 30), new Stretch(400, 416, 7))
            };
            List<Stretch> best = Passages.Best(layers, 0, 1000, 2);
            Assert.AreEqual(new[] { 200, 20 }, best.Select(each => each.Begin));
            Assert.AreEqual(new[] { 224, 36 }, best.Select(each => each.End));
            Assert.AreEqual(new[] { 80, 9 }, best.Select(each => each.Votes));
        }

        [Test]
        public void Stretches_are_short_lie_in_the_book_and_do_not_overlap()
        {
            var everything = new[] { Layer(new Stretch(0, 1000, 100000)) };
            List<Stretch> best = Passages.Best(everything, 10, 500, 20);
            Assert.That(best, Is.Not.Empty);
            Assert.That(best.All(each => each.Begin >= 10 && each.End <= 500 && each.End - each.Begin <= Passages.Length));
            List<Stretch> ordered = best.OrderBy(each => each.Begin).ToList();
            for (int i = 1; i < ordered.Count; i++) Assert.That(ordered[i].Begin, Is.GreaterThanOrEqualTo(ordered[i - 1].End));
        }

        [Test]
        public void Without_votes_in_the_book_there_are_none()
        {
            Assert.IsEmpty(Passages.Best(new[] { Layer(new Stretch(0, 10, 9)) }, 10, 500, 5));
            Assert.IsEmpty(Passages.Best(new List<Stretch>[0], 10, 500, 5));
        }

        [Test]
        public void Places_count_utf16_and_take_in_whole_characters()
        {
            // Bytes: a 0, é 1-2, 🐟 3-6, 日 7-9, z 10.
            const string text = "aé🐟日z";
            Assert.AreEqual(new[] { "a" }, Placed(text, new Stretch(3, 4, 1)));
            Assert.AreEqual(new[] { "🐟" }, Placed(text, new Stretch(6, 10, 1)));
            Assert.AreEqual(new[] { "🐟" }, Placed(text, new Stretch(7, 9, 1)), "the middle of it");
            Assert.AreEqual(new[] { "é🐟" }, Placed(text, new Stretch(5, 7, 1)));
            Assert.AreEqual(new[] { "日z" }, Placed(text, new Stretch(12, 14, 1)));
            Assert.AreEqual(new[] { text }, Placed(text, new Stretch(3, 14, 1)));
        }

        [Test]
        public void Neighbours_share_no_character()
        {
            const string text = "aé🐟日z";
            Assert.AreEqual(new[] { "日z", "é🐟" }, Placed(text, new Stretch(5, 8, 1), new Stretch(8, 14, 2)));
        }
    }
}
