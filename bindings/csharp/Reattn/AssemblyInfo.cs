using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Reattn.Tests")]
