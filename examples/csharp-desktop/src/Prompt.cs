// What stands around a book and a question.
using System;
using System.Linq;

namespace Reattn.Desktop
{
    /// <summary>A book and a question as the model's chat template puts them, or as they are. What people wrote stays text: only the
    /// template's own words become special tokens.</summary>
    public sealed class Prompt
    {
        // Stand for the texts while the template is taken apart.
        private const string BookMark = "\uE000book\uE001";
        private const string QuestionMark = "\uE000question\uE001";

        private readonly Model model;
        private readonly string gap;
        private readonly int[] closing;

        /// <param name="raw">Without the template; so it is for a model that has none.</param>
        public Prompt(Model model, bool raw)
        {
            this.model = model;
            ModelInfo info = model.Info();
            if (raw || !info.HasChatTemplate)
            {
                Opening = info.AddBos && info.BosToken >= 0 ? new[] { info.BosToken } : new int[0];
                closing = new int[0];
                gap = "\n";
                return;
            }
            string whole = model.RenderChat(new[] { ChatMessage.User(BookMark + QuestionMark) });
            int book = whole.IndexOf(BookMark, StringComparison.Ordinal);
            int question = whole.IndexOf(QuestionMark, StringComparison.Ordinal);
            if (book < 0 || question < 0)
                throw new BookException("the model's chat template does not print every message: use --raw");
            Opening = model.Tokenize(whole.Substring(0, book), true);
            closing = model.Tokenize(whole.Substring(question + QuestionMark.Length), true);
            gap = "\n\n";
        }

        /// <summary>Token ids before the book.</summary>
        public int[] Opening { get; }

        /// <summary>Token ids after it: one append, so that all of it votes on what is recalled.</summary>
        public int[] Question(string question) { return model.Tokenize(gap + question).Concat(closing).ToArray(); }
    }
}
