using System.IO;
using System.Linq;
using System.Text;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class BookTextTests
    {
        private static string Decoded(string text, params byte[] before)
        {
            return BookText.Decode("book.txt", before.Concat(Encoding.UTF8.GetBytes(text)).ToArray()).Text;
        }

        private static void Refused(byte[] bytes, string why)
        {
            var said = Assert.Throws<BookException>(() => BookText.Decode("folder/book.txt", bytes));
            Assert.That(said.Message, Is.StringStarting("folder/book.txt ").And.StringContaining(why));
        }

        [Test]
        public void Text_is_as_it_stands()
        {
            Assert.AreEqual("One 🐟 fish.\n\n日本", Decoded("One 🐟 fish.\n\n日本"));
            Assert.AreEqual("book.txt", BookText.Decode("folder/book.txt", Encoding.UTF8.GetBytes("x")).Name);
        }

        [Test]
        public void Line_ends_are_one_kind_and_there_is_no_mark()
        {
            Assert.AreEqual("a\nb\nc\n\n", Decoded("a\r\nb\rc\n\r\n", 0xEF, 0xBB, 0xBF));
        }

        [Test]
        public void What_is_no_text_is_refused()
        {
            Refused(new byte[] { (byte)'c', (byte)'a', (byte)'f', 0xE9 }, "is not a text in UTF-8");
            Refused(Encoding.Unicode.GetPreamble().Concat(Encoding.Unicode.GetBytes("two bytes each")).ToArray(), "not a text in UTF-8");
            Refused(new byte[] { 0xED, 0xA0, 0xBD }, "not a text in UTF-8"); // half a surrogate pair
            Refused(new byte[] { (byte)'a', 0, (byte)'b' }, "zero bytes");
            Refused(new byte[0], "is empty");
            Refused(new byte[] { 0xEF, 0xBB, 0xBF }, "is empty");
            Refused(Encoding.UTF8.GetBytes(" \r\n\t"), "is empty");
        }

        [Test]
        public void Files_are_read_or_named()
        {
            using (var scratch = new Scratch())
            {
                Assert.AreEqual("a\n", BookText.Load(scratch.Write("a.txt", "a\r\n")).Text);
                Assert.That(Assert.Throws<FileNotFoundException>(() => BookText.Load(scratch.Missing)).Message,
                    Is.StringContaining(scratch.Missing));
                string large = scratch.Write("large.txt", "");
                using (var file = new FileStream(large, FileMode.Open)) file.SetLength(BookText.MaxBytes + 1);
                Assert.That(Assert.Throws<BookException>(() => BookText.Load(large)).Message, Is.StringContaining("MB at most"));
            }
        }
    }
}
