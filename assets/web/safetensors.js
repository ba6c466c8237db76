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

/** Tensors in the places that plans look for them. */
export function laidOut(all, { parameters, words }) {
    const buffer = new Float32Array(words);
    for (const { name, offset } of parameters) {
        const tensor = all.get(name);
        if (!tensor) {
            throw new Error(`there is no tensor ${name}`);
        }
        buffer.set(tensor, offset);
    }
    return buffer;
}
