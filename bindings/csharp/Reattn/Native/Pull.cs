using System;

namespace Reattn.Native
{
    /// <summary>One pull out of a request or a queue, given room for the event and its text.</summary>
    internal unsafe delegate int PullInto(reattn_event* raw, byte* room, ulong cap, ulong* needed, IntPtr* err);

    internal static unsafe class Pull
    {
        /// <summary>Longer than the text of nearly every event; one that does not fit is pulled again.</summary>
        private const int Room = 512;

        /// <summary>The status, and the event where there is one. An error is left to the caller.</summary>
        internal static int Event(PullInto pull, out GenerationEvent made, IntPtr* err)
        {
            var raw = new reattn_event { struct_size = (uint)sizeof(reattn_event) };
            ulong needed = 0;
            made = null;
            byte* text = stackalloc byte[Room];
            int status = pull(&raw, text, Room, &needed, err);
            if (status == C.REATTN_OK) made = Event(&raw, text);
            while (status == C.REATTN_E_BUFFER)
            {
                Library.Api.reattn_error_free(*err);
                fixed (byte* longer = new byte[checked((int)needed)])
                {
                    status = pull(&raw, longer, needed, &needed, err);
                    if (status == C.REATTN_OK) made = Event(&raw, longer);
                }
            }
            return status;
        }

        private static GenerationEvent Event(reattn_event* raw, byte* utf8)
        {
            switch (raw->kind)
            {
                case C.REATTN_EVENT_PREFILL:
                    return new ReadProgress(raw->n_done, raw->n_total);
                case C.REATTN_EVENT_TEXT:
                    return new Token(raw->token, raw->logprob, Call.String(utf8, (int)raw->text_bytes));
                case C.REATTN_EVENT_DONE:
                    return new Done((DoneReason)raw->reason, Call.String(utf8, (int)raw->text_bytes), raw->n_done, raw->n_total);
                default:
                    throw new NotSupportedException("event " + raw->kind + " is of a newer library");
            }
        }
    }
}
