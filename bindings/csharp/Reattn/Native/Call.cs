using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Reattn.Native
{
    /// <summary>A call with an output of unknown length: `cap` elements of room, and how many there are.</summary>
    internal unsafe delegate int Fill(void* room, ulong cap, ulong* needed, IntPtr* err);

    /// <summary>What crosses the border: statuses, exact text, and outputs whose length is not known before.</summary>
    internal static unsafe class Call
    {
        private static readonly Encoding Strict = new UTF8Encoding(false, true);

        /// <summary>The status, when it is no error; else throws. Frees the error.</summary>
        internal static int Check(int status, IntPtr err)
        {
            if (status < 0) throw Failure(status, err);
            return status;
        }

        internal static ReattnException Failure(int status, IntPtr err)
        {
            string message = String(Library.Api.reattn_error_message(err));
            Library.Api.reattn_error_free(err);
            return new ReattnException((ErrorCode)status, message);
        }

        /// <summary>All of an output; `guess` elements are tried first. owner: whose call it is; null for the library itself.</summary>
        internal static T[] Output<T>(ReattnObject owner, long guess, Fill fill) where T : struct
        {
            var room = new T[Math.Max(0, Math.Min(guess, 1 << 20))];
            while (true)
            {
                ulong needed = 0;
                IntPtr err = IntPtr.Zero;
                int status;
                GCHandle pin = GCHandle.Alloc(room, GCHandleType.Pinned);
                try
                {
                    status = fill((void*)pin.AddrOfPinnedObject(), (ulong)room.Length, &needed, &err);
                }
                finally
                {
                    pin.Free();
                }
                if (status == C.REATTN_E_BUFFER)
                {
                    Library.Api.reattn_error_free(err);
                    room = new T[checked((int)needed)];
                    continue;
                }
                if (owner != null) owner.Check(status, err);
                else Check(status, err);
                Array.Resize(ref room, checked((int)needed));
                return room;
            }
        }

        /// <summary>UTF-8 of well-formed text. What is not, has no UTF-8; replacing it would be another text.</summary>
        internal static byte[] Utf8(string text, string parameter)
        {
            if (text == null) throw new ArgumentNullException(parameter);
            try
            {
                return Strict.GetBytes(text);
            }
            catch (EncoderFallbackException unpaired)
            {
                throw new ArgumentException("the text has a surrogate without its other half at index " + unpaired.Index,
                    parameter, unpaired);
            }
        }

        internal static string String(byte[] utf8)
        {
            return Encoding.UTF8.GetString(utf8);
        }

        /// <summary>Up to the zero byte.</summary>
        internal static string String(byte* utf8)
        {
            int length = 0;
            while (utf8[length] != 0) length++;
            return String(utf8, length);
        }

        internal static string String(byte* utf8, int length)
        {
            return length == 0 ? "" : Encoding.UTF8.GetString(utf8, length);
        }

        /// <summary>A struct's array of that size, zero-ended.</summary>
        internal static string Field(byte* utf8, int size)
        {
            int length = 0;
            while (length < size && utf8[length] != 0) length++;
            return String(utf8, length);
        }
    }
}
