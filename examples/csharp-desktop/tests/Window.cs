// Drives the real window.
using System;
using System.Drawing;
using System.Drawing.Imaging;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Threading.Tasks;
using System.Windows.Forms;

namespace Reattn.Desktop.Tests
{
    /// <summary>The window of the program, in its message loop, and what a script does in it: all on its thread.</summary>
    internal sealed class Window
    {
        /// <summary>Only there so that a test that hangs ends.</summary>
        private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

        private Window(MainForm form)
        {
            Form = form;
        }

        public MainForm Form { get; }

        public TextBox Status { get { return Get<TextBox>("status"); } }
        public TextBox Question { get { return Get<TextBox>("question"); } }
        public RichTextBox Answer { get { return Get<RichTextBox>("answer"); } }
        public Button Ask { get { return Get<Button>("ask"); } }
        public Button Stop { get { return Get<Button>("stop"); } }
        public ProgressBar Progress { get { return Get<ProgressBar>("progress"); } }
        public ListBox Passages { get { return Get<ListBox>("passages"); } }
        public Label BookName { get { return Get<Label>("bookName"); } }
        public BookView View { get { return Get<BookView>("view"); } }
        public Strip Strip { get { return Get<Strip>("strip"); } }

        private T Get<T>(string name) where T : Control
        {
            return (T)Form.Controls.Find(name, true).Single();
        }

        /// <summary>Shows the window and runs the script in it; then closes it, and waits until it is gone.</summary>
        public static void Run(Options options, Func<Window, Task> script)
        {
            ExceptionDispatchInfo failure = null;
            using (var form = new MainForm(options))
            {
                form.Shown += async (sender, e) =>
                {
                    try
                    {
                        await script(new Window(form));
                    }
                    catch (Exception failed)
                    {
                        failure = ExceptionDispatchInfo.Capture(failed);
                    }
                    if (!form.IsDisposed) form.Close();
                };
                Application.Run(form);
            }
            if (failure != null) failure.Throw();
        }

        public async Task Until(Func<bool> holds, string what)
        {
            DateTime end = DateTime.UtcNow + Patience;
            while (!holds())
            {
                if (DateTime.UtcNow > end) throw new TimeoutException("not so: " + what + "; the window says: " + Status.Text);
                await Task.Delay(5);
            }
        }

        /// <summary>For what lasts: what is said for a moment only may be missed.</summary>
        public Task UntilSaid(string what)
        {
            return Until(() => Status.Text.Contains(what), what);
        }

        /// <summary>Does it once, the moment that the window says so.</summary>
        public void WhenSaid(string what, Action todo)
        {
            EventHandler told = null;
            told = (sender, e) =>
            {
                if (!Status.Text.Contains(what)) return;
                Status.TextChanged -= told;
                todo();
            };
            Status.TextChanged += told;
        }

        /// <summary>Types a question and presses the button.</summary>
        public void AskFor(string question)
        {
            Question.Text = question;
            Ask.PerformClick();
        }

        public void Click(Control control, int x, int y)
        {
            control.GetType().GetMethod("OnMouseDown", BindingFlags.Instance | BindingFlags.NonPublic)
                .Invoke(control, new object[] { new MouseEventArgs(MouseButtons.Left, 1, x, y, 0) });
        }

        public void Press(Control control, Keys key)
        {
            control.GetType().GetMethod("OnKeyDown", BindingFlags.Instance | BindingFlags.NonPublic)
                .Invoke(control, new object[] { new KeyEventArgs(key) });
        }

        /// <summary>What of the window is on the screen.</summary>
        public Bitmap Picture()
        {
            Form.Refresh();
            var picture = new Bitmap(Form.ClientSize.Width, Form.ClientSize.Height, PixelFormat.Format24bppRgb);
            using (Graphics graphics = Graphics.FromImage(picture))
            {
                graphics.CopyFromScreen(Form.PointToScreen(Point.Empty), Point.Empty, picture.Size);
            }
            return picture;
        }

        /// <summary>The same of a part of it.</summary>
        public bool Shows(Control control, Color colour)
        {
            using (Bitmap picture = Picture())
            {
                Rectangle place = Form.RectangleToClient(control.RectangleToScreen(control.ClientRectangle));
                place.Intersect(new Rectangle(Point.Empty, picture.Size));
                for (int y = place.Top; y < place.Bottom; y++)
                {
                    for (int x = place.Left; x < place.Right; x++)
                    {
                        if (picture.GetPixel(x, y).ToArgb() == colour.ToArgb()) return true;
                    }
                }
                return false;
            }
        }

        /// <summary>Keeps a picture where REATTN_SCREENSHOTS says, if it does.</summary>
        public async Task Save(string name)
        {
            string folder = Environment.GetEnvironmentVariable("REATTN_SCREENSHOTS");
            if (string.IsNullOrEmpty(folder)) return;
            await Task.Delay(200); // mono lays texts out a little later
            using (Bitmap picture = Picture()) picture.Save(Path.Combine(folder, name), ImageFormat.Png);
        }
    }
}
