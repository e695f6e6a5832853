using System.Threading;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>The tokens of a generation, pulled asynchronously, one at a time: also where the language has no await foreach.</summary>
    public sealed class TokenStream
    {
        private readonly Generation generation;

        internal TokenStream(Generation generation)
        {
            this.generation = generation;
        }

        /// <summary>The token that was pulled last; null before the first and after the end.</summary>
        public Token Current { get; private set; }

        /// <summary>Pulls the next token on a thread of the pool; input is read first.</summary>
        /// <returns>false when nothing more will come.</returns>
        /// <param name="cancellation">Ends the generation within 100 ms.</param>
        public Task<bool> MoveNextAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Background.OnPool(() => (Current = generation.NextToken(cancellation)) != null);
        }
    }

#if NETSTANDARD2_1 || NET
    public sealed unsafe partial class Generation : System.Collections.Generic.IAsyncEnumerable<Token>
    {
        /// <summary>The tokens of the answer for await foreach, each pulled on a thread of the pool. Leaving the loop early leaves
        /// the generation where it is: dispose it.</summary>
        public System.Collections.Generic.IAsyncEnumerator<Token> GetAsyncEnumerator(CancellationToken cancellationToken = default)
        {
            return new AsyncTokens(new TokenStream(this), cancellationToken);
        }

        private sealed class AsyncTokens : System.Collections.Generic.IAsyncEnumerator<Token>
        {
            private readonly TokenStream tokens;
            private readonly CancellationToken cancellation;

            internal AsyncTokens(TokenStream tokens, CancellationToken cancellation)
            {
                this.tokens = tokens;
                this.cancellation = cancellation;
            }

            public Token Current
            {
                get { return tokens.Current; }
            }

            public ValueTask<bool> MoveNextAsync()
            {
                return new ValueTask<bool>(tokens.MoveNextAsync(cancellation));
            }

            public ValueTask DisposeAsync()
            {
                return default(ValueTask);
            }
        }
    }
#endif
}
