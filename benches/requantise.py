#!/usr/bin/env python3
"""Writes a GGUF file again with all its matrices in one type, to measure another type of the same model.

    pip install numpy gguf
    python3 benches/requantise.py model.gguf model-q8_0.gguf [Q8_0]
"""

import sys
from pathlib import Path

# Not the bench `typing` beside this one: libraries mean the module.
sys.path.pop(0)
import numpy as np  # noqa: E402
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize


def main():
    source, target, name = (sys.argv[1:] + ["Q8_0"])[:3]
    kind = GGMLQuantizationType[name]
    reader = GGUFReader(Path(source))
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        # The writer adds these itself.
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if values.ndim < 2:
            writer.add_tensor(tensor.name, values.astype(np.float32))
        else:
            writer.add_tensor(tensor.name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
