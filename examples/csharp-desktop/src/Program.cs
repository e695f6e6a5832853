// Starts the program.
using System;
using System.Windows.Forms;

namespace Reattn.Desktop
{
    public static class Program
    {
        [STAThread]
        public static int Main(string[] arguments)
        {
            Options options;
            try
            {
                options = Options.Parse(arguments);
            }
            catch (UsageException wrong)
            {
                Console.Error.WriteLine("reattn-desktop: " + wrong.Message + "\n" + Options.Usage);
                return 2;
            }
            if (options.Help)
            {
                Console.WriteLine(Options.Usage);
                return 0;
            }
            Application.EnableVisualStyles();
            Application.SetCompatibleTextRenderingDefault(false);
            Application.Run(new MainForm(options));
            return 0;
        }
    }
}
