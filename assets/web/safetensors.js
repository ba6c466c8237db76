// The file format of parameters: eight bytes of length, a header in JSON, the numbers.

/** The tensors of a file by their names, as floats. */
export function tensors(buffer) {
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    const all = new Map();
    for (const [name, { dtype, data_offsets: offsets }] of Object.entries(header)) {
        if (name === "__metadata__") {
            continue;
        }
        if (dtype !== "F32") {
            throw new Error(`tensor ${name} is of type ${dtype}, expected F32`);
        }
        const [begin, end] = offsets.map((offset) => 8 + length + offset);
        all.set(name, new Float32Array(buffer.slice(begin, end)));
    }
    return all;
}

/** Tensors in the places that plans look for them. Of those with a prefix before their names some may be zero and left out. */
export function laidOut(all, { parameters, words }, prefix = "") {
    const buffer = new Float32Array(words);
    for (const { name, offset } of parameters) {
        const tensor = all.get(prefix + name);
        if (tensor) {
            buffer.set(tensor, offset);
        } else if (!prefix) {
            throw new Error(`there is no tensor ${name}`);
        }
    }
    return buffer;
}

/** Parameters as they lie in plans as a file of PyTorch's layers: weights [outputs, inputs] and biases [outputs]. */
export function encoded(parameters, layers) {
    const [header, parts] = [{}, []];
    let end = 0;
    const add = (name, shape, values) => {
        header[name] = { dtype: "F32", shape, data_offsets: [end, end + values.byteLength] };
        end += values.byteLength;
        parts.push(values);
    };
    for (const [names, offset, inputs, wide] of layers) {
        const outputs = wide / names.length;
        names.forEach((name, head) => {
            const at = (input, output) => parameters[offset + input * wide + head * outputs + output];
            const weight = Float32Array.from({ length: outputs * inputs }, (_, i) => at(i % inputs, Math.floor(i / inputs)));
            add(`${name}.weight`, [outputs, inputs], weight);
            add(`${name}.bias`, [outputs], Float32Array.from({ length: outputs }, (_, output) => at(inputs, output)));
        });
    }
    let text = JSON.stringify(header);
    text += " ".repeat((8 - text.length % 8) % 8);
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(text.length), true);
    return new Blob([length, text, ...parts]);
}
