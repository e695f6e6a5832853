// Breaks a text into lines of a width.
using System;
using System.Collections.Generic;

namespace Reattn.Desktop
{
    /// <summary>Where the lines of a text begin when none may be wider than so much.</summary>
    public static class LineBreaker
    {
        /// <summary>The indices at which lines begin; the first is 0.</summary>
        /// <param name="width">of a character, given its index in the text</param>
        public static int[] Break(string text, float most, Func<int, float> width)
        {
            var starts = new List<int> { 0 };
            float x = 0;
            int breakAt = -1; // where this line may be broken, and how wide it is up to there
            float breakX = 0;
            for (int i = 0; i < text.Length;)
            {
                char c = text[i];
                int next = i + (char.IsSurrogatePair(text, i) ? 2 : 1);
                if (c == '\n')
                {
                    starts.Add(next);
                    x = 0;
                    breakAt = -1;
                }
                else
                {
                    float wide = width(i);
                    // A space may hang over the edge: nobody sees it.
                    if (x + wide > most && c != ' ' && i > starts[starts.Count - 1])
                    {
                        bool here = breakAt <= starts[starts.Count - 1];
                        starts.Add(here ? i : breakAt);
                        x = here ? 0 : x - breakX;
                        breakAt = -1;
                    }
                    x += wide;
                    if (c == ' ' || c == '\t' || c == '-' || IsIdeograph(c))
                    {
                        breakAt = next;
                        breakX = x;
                    }
                }
                i = next;
            }
            return starts.ToArray();
        }

        /// <summary>Scripts without spaces, roughly: a line may end after any character.</summary>
        private static bool IsIdeograph(char c) { return c >= 0x2E80 && c < 0xD800; }

        /// <summary>The line that holds the character.</summary>
        public static int LineOf(int[] starts, int index)
        {
            int found = Array.BinarySearch(starts, index);
            return found >= 0 ? found : ~found - 1;
        }
    }
}
