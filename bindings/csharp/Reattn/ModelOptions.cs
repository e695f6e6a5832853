using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>How a model is opened. What is out of range is refused where it is used.</summary>
    public sealed unsafe class ModelOptions
    {
        internal reattn_model_options Raw;

        /// <summary>The defaults.</summary>
        public ModelOptions()
        {
            IntPtr err = IntPtr.Zero;
            fixed (reattn_model_options* raw = &Raw)
            {
                Call.Check(Library.Api.reattn_model_options_init(raw, (UIntPtr)sizeof(reattn_model_options), &err), err);
            }
        }

        /// <summary>Where it runs; by default <see cref="Reattn.Device.Auto"/>.</summary>
        public Device Device
        {
            get { return (Device)Raw.device; }
            set { Raw.device = (int)value; }
        }

        /// <summary>Threads of the CPU pool, the caller included; 0, the default: as many as the process may use. Results do not
        /// depend on it.</summary>
        public int NThreads
        {
            get { return Raw.n_threads; }
            set { Raw.n_threads = value; }
        }

        /// <summary>Read and check the header alone, no weights and no tokenizer: for info, metadata, estimates and session
        /// options.</summary>
        public bool HeaderOnly
        {
            get { return Raw.header_only != 0; }
            set { Raw.header_only = value ? 1 : 0; }
        }

        /// <summary>Which CUDA device, from 0.</summary>
        public int DeviceIndex
        {
            get { return Raw.device_index; }
            set { Raw.device_index = value; }
        }

        /// <summary>What the weights are held in; by default <see cref="Reattn.Weights.Auto"/>.</summary>
        public Weights Weights
        {
            get { return (Weights)Raw.weights; }
            set { Raw.weights = (int)value; }
        }
    }
}
