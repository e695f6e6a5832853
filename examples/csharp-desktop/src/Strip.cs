// The book as a narrow strip: where in it the passages lie, and which part is seen.
using System;
using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Reattn.Desktop
{
    /// <summary>The whole book from top to bottom; a click goes to a place in it.</summary>
    public sealed class Strip : Control
    {
        public static readonly Color Tick = Color.FromArgb(0xE0, 0xA8, 0x00);
        public static readonly Color CurrentTick = Color.FromArgb(0xC2, 0x5A, 0x00);
        private static readonly Color Seen = Color.FromArgb(0xC9, 0xD6, 0xE2);
        private const int TickHeight = 4;

        private Passage[] passages = new Passage[0];
        private Passage current;
        private int length;
        private int seenBegin;
        private int seenEnd;

        public Strip()
        {
            DoubleBuffered = true;
            SetStyle(ControlStyles.ResizeRedraw, true);
            BackColor = Color.FromArgb(0xEE, 0xF2, 0xF5);
            Cursor = Cursors.Hand;
        }

        /// <summary>A place was clicked: its passage, or null and the index of its character.</summary>
        public event Action<Passage, int> PlaceClicked;

        /// <summary>The passages of a book of so many characters.</summary>
        public void Show(int bookLength, IEnumerable<Passage> shown)
        {
            length = bookLength;
            passages = shown.ToArray();
            current = null;
            Invalidate();
        }

        /// <summary>The passage whose tick stands out.</summary>
        public Passage Current
        {
            get => current;
            set {
                current = value;
                Invalidate();
            }
        }

        /// <summary>The part of the book that is on the screen.</summary>
        public void ShowSeen(int begin, int end)
        {
            seenBegin = begin;
            seenEnd = end;
            Invalidate();
        }

        /// <summary>Where a passage's tick is.</summary>
        public Rectangle TickOf(Passage passage)
        {
            Rectangle place = Place(passage.Begin, passage.End);
            return new Rectangle(2, Math.Min(place.Top, Height - place.Height), Width - 4, place.Height);
        }

        private Rectangle Place(int begin, int end)
        {
            int top = (int)((long)begin * Height / Math.Max(1, length));
            int bottom = (int)((long)end * Height / Math.Max(1, length));
            return new Rectangle(0, top, Width, Math.Max(TickHeight, bottom - top));
        }

        protected override void OnPaint(PaintEventArgs e)
        {
            base.OnPaint(e);
            if (length == 0) return;
            using (var seen = new SolidBrush(Seen)) using (var tick = new SolidBrush(Tick)) using (
                var currentTick = new SolidBrush(CurrentTick))
            {
                e.Graphics.FillRectangle(seen, Place(seenBegin, seenEnd));
                foreach (Passage passage in passages) e.Graphics.FillRectangle(tick, TickOf(passage));
                if (current != null) e.Graphics.FillRectangle(currentTick, TickOf(current));
            }
        }

        protected override void OnMouseDown(MouseEventArgs e)
        {
            base.OnMouseDown(e);
            if (length == 0 || Height == 0) return;
            Passage hit = passages.FirstOrDefault(passage => TickOf(passage).Contains(TickOf(passage).X, e.Y));
            var index = (int)((long)Math.Max(0, Math.Min(e.Y, Height - 1)) * length / Height);
            PlaceClicked?.Invoke(hit, index);
        }
    }
}
