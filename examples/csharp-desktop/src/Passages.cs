// Which passages of a book were recalled, and where in its text they are.
using System;
using System.Collections.Generic;
using System.Linq;

namespace Reattn.Desktop
{
    /// <summary>A passage of the book.</summary>
    public sealed class Passage
    {
        /// <summary>Index of its first character in the book, in UTF-16.</summary>
        public int Begin { get; }
        /// <summary>Index after its last.</summary>
        public int End { get; }
        /// <summary>Votes that its tokens got, over all layers.</summary>
        public long Votes { get; }

        public Passage(int begin, int end, long votes)
        {
            Begin = begin;
            End = end;
            Votes = votes;
        }
    }

    /// <summary>The tokens [Begin, End) and the votes they got.</summary>
    public struct Stretch
    {
        public Stretch(long begin, long end, long votes)
        {
            Begin = begin;
            End = end;
            Votes = votes;
        }

        public long Begin { get; }
        public long End { get; }
        public long Votes { get; }
    }

    /// <summary>From recalled spans of tokens to passages of text.</summary>
    public static class Passages
    {
        /// <summary>Tokens of a passage at most: about two lines of the window.</summary>
        public const int Length = 48;

        /// <summary>
        /// The stretches of at most <see cref="Length"/> tokens of [begin, end) that got most votes, the most
        /// voted first. Each layer's spans are added up, with their votes spread evenly over their tokens: the
        /// library's sum over all layers would join into passages as long as the book.
        /// </summary>
        public static List<Stretch> Best(IEnumerable<IReadOnlyList<Stretch>> layers, long begin, long end, int count)
        {
            var density = new double[end - begin]; // votes of each token
            foreach (Stretch span in layers.SelectMany(spans => spans))
            {
                double share = (double)span.Votes / (span.End - span.Begin);
                long last = Math.Min(span.End, end);
                for (long at = Math.Max(span.Begin, begin); at < last; at++) density[at - begin] += share;
            }
            var best = new List<Stretch>();
            while (best.Count < count)
            {
                double sum = 0;
                double most = 0;
                int to = 0;
                for (int at = 0; at < density.Length; at++)
                {
                    sum += density[at];
                    if (at >= Length) sum -= density[at - Length];
                    if (sum > most * (1 + 1e-9))
                    {
                        most = sum;
                        to = at + 1;
                    }
                }
                int from = Math.Max(0, to - Length);
                while (from < to && density[from] == 0) from++;
                while (to > from && density[to - 1] == 0) to--;
                var votes = (long)Math.Round(most);
                if (votes == 0) break;
                best.Add(new Stretch(begin + from, begin + to, votes));
                Array.Clear(density, from, to - from);
            }
            return best;
        }

        /// <summary>The passages of such spans, the most voted first.</summary>
        /// <param name="spans">stretches of tokens that do not overlap</param>
        /// <param name="begin">position of the book's first token</param>
        /// <param name="text">of the book</param>
        /// <param name="bytes">the bytes of the tokens [from, to), which need not be whole characters</param>
        public static List<Passage> Place(IEnumerable<Stretch> spans, long begin, string text, Func<long, long, byte[]> bytes)
        {
            var passages = new List<Passage>();
            var cursor = new Cursor(text);
            long token = begin;
            long at = 0; // bytes of the book before it
            foreach (Stretch span in spans.OrderBy(span => span.Begin))
            {
                at += bytes(token, span.Begin).Length;
                int from = cursor.MoveTo(at, false);
                at += bytes(span.Begin, span.End).Length;
                int to = cursor.MoveTo(at, true);
                token = span.End;
                if (from < to) passages.Add(new Passage(from, to, span.Votes));
            }
            return passages.OrderByDescending(passage => passage.Votes).ToList();
        }

        /// <summary>Walks along a text and counts its characters' bytes in UTF-8.</summary>
        private sealed class Cursor
        {
            private readonly string text;
            private int index;
            private long bytes;

            public Cursor(string text) { this.text = text; }

            /// <summary>
            /// The index of what begins so many bytes into the text, never before where it was. Inside a
            /// character: that of the character, or <paramref name="past"/> it.
            /// </summary>
            public int MoveTo(long target, bool past)
            {
                while (bytes < target && index < text.Length)
                {
                    bool pair = char.IsSurrogatePair(text, index);
                    char c = text[index];
                    int size = pair ? 4 : c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
                    if (bytes + size > target && !past) break;
                    bytes += size;
                    index += pair ? 2 : 1;
                }
                return index;
            }
        }
    }
}
