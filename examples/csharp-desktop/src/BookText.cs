// The text of a book, as the window shows it and the model reads it.
using System;
using System.IO;
using System.Text;

namespace Reattn.Desktop
{
    /// <summary>A file that cannot be read as a book, in words for its reader.</summary>
    public sealed class BookException : Exception
    {
        public BookException(string message) : base(message) {}
    }

    /// <summary>
    /// A book's text. Line ends are "\n" and there is no byte order mark: what is shown, what is read and
    /// what offsets count is one and the same.
    /// </summary>
    public sealed class BookText
    {
        /// <summary>Larger files are refused: the King James Bible has 4 MB.</summary>
        public const long MaxBytes = 64L << 20;

        /// <summary>The file's name, without its folder.</summary>
        public string Name { get; }
        /// <summary>The text.</summary>
        public string Text { get; }

        private BookText(string name, string text)
        {
            Name = name;
            Text = text;
        }

        /// <summary>Reads a file of UTF-8.</summary>
        /// <exception cref="BookException">It is no text, too long, or has nothing in it.</exception>
        /// <exception cref="IOException">It cannot be read.</exception>
        public static BookText Load(string path)
        {
            byte[] bytes;
            using (var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read))
            {
                if (file.Length > MaxBytes)
                {
                    throw new BookException($"{path} has {file.Length >> 20} MB; a book has {MaxBytes >> 20} MB at most");
                }
                using (var memory = new MemoryStream((int)file.Length))
                {
                    file.CopyTo(memory);
                    bytes = memory.ToArray();
                }
            }
            return Decode(path, bytes);
        }

        /// <summary>The same of bytes; <paramref name="path"/> is what messages call them.</summary>
        public static BookText Decode(string path, byte[] utf8)
        {
            int mark = utf8.Length >= 3 && utf8[0] == 0xEF && utf8[1] == 0xBB && utf8[2] == 0xBF ? 3 : 0;
            string text;
            try
            {
                text = new UTF8Encoding(false, true).GetString(utf8, mark, utf8.Length - mark);
            }
            catch (ArgumentException)
            {
                throw new BookException($"{path} is not a text in UTF-8");
            }
            // UTF-8 allows it, texts do not have it: an image or a program that happens to decode.
            if (text.IndexOf('\0') >= 0) throw new BookException($"{path} is not a text: it holds zero bytes");
            if (string.IsNullOrWhiteSpace(text)) throw new BookException($"{path} is empty");
            return new BookText(Path.GetFileName(path), text.Replace("\r\n", "\n").Replace('\r', '\n'));
        }
    }
}
