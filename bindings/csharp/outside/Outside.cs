using System;
using System.Linq;
using Reattn;

/// <summary>Outside MODEL [LIBRARY]: reads, generates a few tokens, and says which library did it.</summary>
internal static class Outside
{
    private static void Main(string[] args)
    {
        if (args.Length > 1) ReattnLibrary.Load(args[1]);
        using (Model model = Model.Open(args[0], new ModelOptions { Device = Device.Cpu }))
        using (Session session = model.CreateSession())
        {
            session.Append("A letter 📖 from the harbour");
            Done read = session.Read();
            using (Generation generation = session.Generate(new GenerationOptions { IgnoreEnd = true, MaxTokens = 3 }))
            {
                int n = generation.Count(token => token.Id != Token.NoId);
                Console.WriteLine("read {0} tokens, generated {1}, by {2}", read.NTotal, n, ReattnLibrary.Path);
            }
        }
    }
}
