// The window: what it looks like.
using System;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Reattn.Desktop
{
    public sealed partial class MainForm
    {
        private static readonly Color Ink = Color.FromArgb(0x1C, 0x27, 0x33);
        private static readonly Color Faint = Color.FromArgb(0x5A, 0x68, 0x75);
        private static readonly Color Line = Color.FromArgb(0xC5, 0xCF, 0xD8);
        private static readonly Color Pale = Color.FromArgb(0xF4, 0xF6, 0xF8);
        private static readonly Color Wrong = Color.FromArgb(0xB0, 0x1E, 0x1E);

        private readonly Button openBook = MakeButton("openBook", "Open &book…");
        private readonly Button openModel = MakeButton("openModel", "Open &model…");
        private readonly Label bookName = MakeLabel("bookName", "No book yet");
        private readonly Label modelName = MakeLabel("modelName", "No model yet");
        private readonly ProgressBar progress = new ProgressBar { Name = "progress", Maximum = 1000, Height = 10,
            Dock = DockStyle.Fill, Visible = false, Style = ProgressBarStyle.Continuous };
        private readonly TextBox question =
            new TextBox { Name = "question", Dock = DockStyle.Fill, BorderStyle = BorderStyle.FixedSingle };
        private readonly Button ask = MakeButton("ask", "&Ask");
        private readonly Button stop = MakeButton("stop", "&Stop");
        private readonly RichTextBox answer =
            new RichTextBox { Name = "answer", Dock = DockStyle.Fill, ReadOnly = true, BackColor = Color.White,
                HideSelection = true, BorderStyle = BorderStyle.None, ScrollBars = RichTextBoxScrollBars.Vertical };
        private readonly TextBox status = new TextBox { Name = "status", Dock = DockStyle.Fill, ReadOnly = true, Multiline = true,
            TabStop = false, BorderStyle = BorderStyle.None, BackColor = Color.White };
        private readonly ListBox passages = new ListBox { Name = "passages", Dock = DockStyle.Fill,
            DrawMode = DrawMode.OwnerDrawFixed, IntegralHeight = false, BorderStyle = BorderStyle.None, BackColor = Color.White };
        private readonly BookView view = new BookView { Name = "view", Dock = DockStyle.Fill };
        private readonly Strip strip = new Strip { Name = "strip", Dock = DockStyle.Left, Width = 20 };

        private void LayOut()
        {
            Text = "Ask a book";
            Font = new Font(SystemFonts.MessageBoxFont.FontFamily, 10);
            BackColor = Color.White;
            ForeColor = Ink;
            ClientSize = new Size(1120, 700);
            MinimumSize = new Size(720, 480);
            StartPosition = FormStartPosition.CenterScreen;
            AcceptButton = ask;
            view.Font = new Font(FontFamily.GenericSerif, 11.5f);
            view.ForeColor = Ink;
            answer.Font = Font;
            answer.ForeColor = Ink;
            passages.ItemHeight = 3 * Font.Height + 12;
            passages.DrawItem += DrawPassage;
            passages.Resize += (sender, e) => passages.Invalidate();

            var left = new TableLayoutPanel { Dock = DockStyle.Fill, ColumnCount = 1, RowCount = 8,
                Padding = new Padding(12, 10, 12, 10) };
            Add(left, Row(openBook, bookName), SizeType.Absolute, 36);
            Add(left, Row(openModel, modelName), SizeType.Absolute, 36);
            Add(left, Asking(), SizeType.Absolute, 40);
            Add(left, progress, SizeType.Absolute, 18);
            Add(left, status, SizeType.Absolute, 3 * Font.Height + 4);
            Add(left, answer, SizeType.Percent, 35);
            Add(left,
                new Label { Text = "Recalled passages", Dock = DockStyle.Fill, ForeColor = Faint,
                    TextAlign = ContentAlignment.BottomLeft },
                SizeType.Absolute, 30);
            Add(left, passages, SizeType.Percent, 65);

            var split = new SplitContainer { Dock = DockStyle.Fill, Size = ClientSize, SplitterDistance = 430, SplitterWidth = 5,
                BackColor = Line, FixedPanel = FixedPanel.Panel1 };
            split.Panel1.BackColor = split.Panel2.BackColor = Color.White;
            split.Panel1.Controls.Add(left);
            split.Panel2.Controls.Add(view);
            split.Panel2.Controls.Add(strip);
            Controls.Add(split);
        }

        private static void Add(TableLayoutPanel panel, Control control, SizeType type, float height)
        {
            panel.RowStyles.Add(new RowStyle(type, height));
            panel.Controls.Add(control, 0, panel.RowStyles.Count - 1);
        }

        /// <summary>A button and what it opened.</summary>
        private static Control Row(Button button, Label label)
        {
            var row = new TableLayoutPanel { Dock = DockStyle.Fill, ColumnCount = 2, RowCount = 1, Margin = new Padding(0) };
            row.ColumnStyles.Add(new ColumnStyle(SizeType.Absolute, 130));
            row.ColumnStyles.Add(new ColumnStyle(SizeType.Percent, 100));
            row.Controls.Add(button, 0, 0);
            row.Controls.Add(label, 1, 0);
            return row;
        }

        private Control Asking()
        {
            var row = new TableLayoutPanel { Dock = DockStyle.Fill, ColumnCount = 3, RowCount = 1, Margin = new Padding(0) };
            row.ColumnStyles.Add(new ColumnStyle(SizeType.Percent, 100));
            row.ColumnStyles.Add(new ColumnStyle(SizeType.Absolute, 66));
            row.ColumnStyles.Add(new ColumnStyle(SizeType.Absolute, 66));
            question.Margin = new Padding(3, 7, 3, 3);
            row.Controls.Add(question, 0, 0);
            row.Controls.Add(ask, 1, 0);
            row.Controls.Add(stop, 2, 0);
            return row;
        }

        private static Button MakeButton(string name, string label)
        {
            var button = new Button { Name = name, Text = label, Dock = DockStyle.Fill, FlatStyle = FlatStyle.Flat,
                BackColor = Color.White, Enabled = name.StartsWith("open") };
            button.FlatAppearance.BorderColor = Line;
            return button;
        }

        private static Label MakeLabel(string name, string content)
        {
            return new Label { Name = name, Text = content, Dock = DockStyle.Fill, AutoEllipsis = true, ForeColor = Faint,
                TextAlign = ContentAlignment.MiddleLeft, UseMnemonic = false };
        }

        private void DrawPassage(object sender, DrawItemEventArgs e)
        {
            if (e.Index < 0 || e.Index >= passages.Items.Count) return;
            var passage = (Passage)passages.Items[e.Index];
            bool selected = (e.State & DrawItemState.Selected) != 0;
            Rectangle place = e.Bounds;
            using (var paper = new SolidBrush(Color.White)) using (
                var mark = new SolidBrush(selected
                        ? BookView.CurrentMark
                        : BookView.Mark)) using (var faint =
                                                     new SolidBrush(
                                                         Faint)) using (var ink =
                                                                            new SolidBrush(
                                                                                Ink)) using (var format = new StringFormat {
                Trimming = StringTrimming.EllipsisWord
            })
            {
                e.Graphics.FillRectangle(paper, place);
                e.Graphics.FillRectangle(mark, place.X, place.Y + 4, 5, place.Height - 8);
                int percent = (int)(100L * passage.Begin / Math.Max(1, text.Text.Length));
                e.Graphics.DrawString(
                    $"at {percent} % of the book, {Number(passage.Votes)} votes", Font, faint, place.X + 12, place.Y + 4);
                var room = new RectangleF(place.X + 12, place.Y + 5 + Font.Height, place.Width - 16, 2 * Font.Height + 2);
                e.Graphics.DrawString(OneLine(passage), Font, ink, room, format);
            }
        }

        /// <summary>A passage's words, without its line ends.</summary>
        private string OneLine(Passage passage)
        {
            string words = text.Text.Substring(passage.Begin, passage.End - passage.Begin);
            return string.Join(" ", words.Split((char[])null, StringSplitOptions.RemoveEmptyEntries));
        }

        private void Say(string what)
        {
            status.ForeColor = Faint;
            status.Text = what;
            status.ScrollBars = ScrollBars.None;
        }

        /// <summary>Any length: where the library was looked for takes many lines.</summary>
        private void SayFailure(string what)
        {
            status.ForeColor = Wrong;
            status.Text = what.Replace("\r\n", "\n").Replace("\n", Environment.NewLine);
            status.ScrollBars = ScrollBars.Vertical;
        }
    }
}
