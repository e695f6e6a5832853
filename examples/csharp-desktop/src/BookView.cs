// The book's text in a window: of any length, with its passages marked.
using System;
using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Reattn.Desktop
{
    /// <summary>
    /// Shows a text of any length and marks passages in it. Only the lines that are seen are ever laid out
    /// in full, where a RichTextBox lays out all of a book before it shows any.
    /// </summary>
    public sealed class BookView : Control
    {
        public static readonly Color Mark = Color.FromArgb(0xFF, 0xE9, 0xA3);
        public static readonly Color CurrentMark = Color.FromArgb(0xFF, 0xC2, 0x3D);
        private const int Edge = 14;

        private readonly VScrollBar scroll = new VScrollBar { Dock = DockStyle.Right, TabStop = false };
        private readonly StringFormat format = new StringFormat(
            StringFormat.GenericTypographic) { FormatFlags = StringFormatFlags.MeasureTrailingSpaces | StringFormatFlags.NoWrap };
        private readonly Dictionary<string, float> widths = new Dictionary<string, float>();
        private readonly float[] narrow = new float[128]; // those of ASCII
        private string text = "";
        private int[] starts = { 0 };             // the characters that lines begin with
        private Passage[] marks = new Passage[0]; // in the order of the text
        private Passage current;
        private int laidOutWidth = -1;

        public BookView()
        {
            DoubleBuffered = true;
            SetStyle(ControlStyles.Selectable | ControlStyles.ResizeRedraw | ControlStyles.Opaque, true);
            TabStop = true;
            BackColor = Color.White;
            Controls.Add(scroll);
            scroll.ValueChanged += (sender, e) =>
            {
                Invalidate();
                ViewChanged?.Invoke(this, EventArgs.Empty);
            };
        }

        /// <summary>Other lines are seen.</summary>
        public event EventHandler ViewChanged;

        /// <summary>What is shown; setting it goes to its beginning.</summary>
        public string Book
        {
            get => text;
            set {
                text = value;
                marks = new Passage[0];
                current = null;
                laidOutWidth = -1;
                LayOut();
                scroll.Value = 0;
                Invalidate();
                ViewChanged?.Invoke(this, EventArgs.Empty);
            }
        }

        /// <summary>Passages to mark; they do not overlap.</summary>
        public IEnumerable<Passage> Passages
        {
            get => marks;
            set {
                marks = value.OrderBy(passage => passage.Begin).ToArray();
                current = null;
                Invalidate();
            }
        }

        /// <summary>The passage that is marked more than the others; setting it goes there.</summary>
        public Passage Current
        {
            get => current;
            set {
                current = value;
                if (value != null) GoTo(value.Begin, value.End);
                Invalidate();
            }
        }

        /// <summary>The first character that is seen.</summary>
        public int ViewBegin => starts[Math.Min(scroll.Value, starts.Length - 1)];

        /// <summary>The character after the last that is seen.</summary>
        public int ViewEnd
        {
            get {
                int line = scroll.Value + LinesSeen;
                return line < starts.Length ? starts[line] : text.Length;
            }
        }

        /// <summary>Scrolls to the character, unless all of [index, end) is seen.</summary>
        public void GoTo(int index, int end)
        {
            if (index >= ViewBegin && end <= ViewEnd) return;
            ScrollTo(LineBreaker.LineOf(starts, index) - LinesSeen / 3);
        }

        private int LineHeight => Font.Height + 3;
        private int LinesSeen => Math.Max(1, (Height - 2 * Edge) / LineHeight);

        private void ScrollTo(int line) { scroll.Value = Math.Max(0, Math.Min(line, scroll.Maximum - scroll.LargeChange + 1)); }

        // ---- Layout -------------------------------------------------------------------------------

        private void LayOut()
        {
            int width = scroll.Left - 2 * Edge;
            if (width < 40) return;
            if (width != laidOutWidth)
            {
                int first = ViewBegin < text.Length ? ViewBegin : 0;
                using (Graphics graphics = CreateGraphics())
                {
                    starts = LineBreaker.Break(text, width, index => WidthAt(graphics, index));
                }
                laidOutWidth = width;
                SetRange();
                ScrollTo(LineBreaker.LineOf(starts, first));
            }
            else
            {
                SetRange();
                ScrollTo(scroll.Value);
            }
        }

        private void SetRange()
        {
            scroll.LargeChange = LinesSeen;
            scroll.Maximum = Math.Max(starts.Length - 1, 0);
            scroll.Enabled = starts.Length > LinesSeen;
        }

        /// <summary>Each character is measured once.</summary>
        private float WidthAt(Graphics graphics, int index)
        {
            char c = text[index];
            if (c < narrow.Length)
            {
                if (narrow[c] == 0) narrow[c] = Measure(graphics, c.ToString());
                return narrow[c];
            }
            string character = text.Substring(index, char.IsSurrogatePair(text, index) ? 2 : 1);
            float width;
            if (!widths.TryGetValue(character, out width))
            {
                widths[character] = width = Measure(graphics, character);
            }
            return width;
        }

        private float Measure(Graphics graphics, string part)
        {
            return graphics.MeasureString(Shown(part), Font, PointF.Empty, format).Width;
        }

        private static string Shown(string part) { return part.Replace("\t", "    "); }

        protected override void OnLayout(LayoutEventArgs e)
        {
            base.OnLayout(e);
            LayOut();
        }

        protected override void OnFontChanged(EventArgs e)
        {
            base.OnFontChanged(e);
            widths.Clear();
            Array.Clear(narrow, 0, narrow.Length);
            laidOutWidth = -1;
            LayOut();
            Invalidate();
        }

        // ---- Painting -----------------------------------------------------------------------------

        protected override void OnPaint(PaintEventArgs e)
        {
            Graphics graphics = e.Graphics;
            graphics.Clear(BackColor);
            int y = Edge;
            int last = Math.Min(starts.Length, scroll.Value + LinesSeen + 1);
            using (var ink = new SolidBrush(ForeColor)) using (var marked = new SolidBrush(Mark)) using (
                var markedMore = new SolidBrush(CurrentMark))
            {
                for (int line = scroll.Value; line < last && y + LineHeight < Height; line++, y += LineHeight)
                {
                    int begin = starts[line];
                    int end = line + 1 < starts.Length ? starts[line + 1] : text.Length;
                    string content = text.Substring(begin, end - begin).TrimEnd('\n');
                    foreach (Passage passage in marks)
                    {
                        int from = Math.Max(passage.Begin, begin) - begin;
                        int to = Math.Min(passage.End - begin, content.Length);
                        if (from >= to) continue;
                        float left = Measure(graphics, content.Substring(0, from));
                        float right = Measure(graphics, content.Substring(0, to));
                        graphics.FillRectangle(
                            passage == current ? markedMore : marked, Edge + left, y, right - left, LineHeight);
                    }
                    graphics.DrawString(Shown(content), Font, ink, new PointF(Edge, y + 1), format);
                }
            }
        }

        // ---- Moving -------------------------------------------------------------------------------

        protected override void OnMouseWheel(MouseEventArgs e)
        {
            base.OnMouseWheel(e);
            ScrollTo(scroll.Value - Math.Sign(e.Delta) * Math.Max(1, SystemInformation.MouseWheelScrollLines));
        }

        protected override void OnMouseDown(MouseEventArgs e)
        {
            base.OnMouseDown(e);
            Focus();
        }

        protected override bool IsInputKey(Keys key) { return key == Keys.Up || key == Keys.Down || base.IsInputKey(key); }

        protected override void OnKeyDown(KeyEventArgs e)
        {
            base.OnKeyDown(e);
            e.Handled = true;
            switch (e.KeyCode)
            {
                case Keys.Up: ScrollTo(scroll.Value - 1); break;
                case Keys.Down: ScrollTo(scroll.Value + 1); break;
                case Keys.PageUp: ScrollTo(scroll.Value - LinesSeen + 1); break;
                case Keys.PageDown: ScrollTo(scroll.Value + LinesSeen - 1); break;
                case Keys.Home: ScrollTo(0); break;
                case Keys.End: ScrollTo(starts.Length); break;
                default: e.Handled = false; break;
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) format.Dispose();
            base.Dispose(disposing);
        }
    }
}
