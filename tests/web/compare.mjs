// Asks pages that `elbo export --format web` made what the program was asked, by the executor in JavaScript.
//
//   node tests/web/compare.mjs FOLDER...
//
// Each folder has a page and, in expected.json, questions with the program's answers. Prints what differs by more than a
// tolerance, relative where numbers are larger than 1, and exits with 1 if anything does.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TOLERANCE = 1e-4;
const faults = [];

function differ(what, expected, found) {
    const flat = [...found].flatMap((row) => (row.length === undefined ? [row] : [...row]));
    const wrong = expected.findIndex((value, at) => {
        return value === null ? !Number.isNaN(flat[at]) : !(Math.abs(value - flat[at]) <= TOLERANCE * Math.max(1, Math.abs(value)));
    });
    if (expected.length !== flat.length || wrong >= 0) {
        faults.push(`${what}: ${flat.length} numbers of ${expected.length}, number ${wrong} is ${flat[wrong]}, not ${expected[wrong]}`);
    }
}

for (const folder of process.argv.slice(2)) {
    const read = (name) => readFileSync(join(folder, name));
    const get = {
        json: async (name) => JSON.parse(read(name).toString()),
        bytes: async (name) => new Uint8Array(read(name)).buffer,
    };
    const { Model } = await import(pathToFileURL(resolve(folder, "model.js")));
    const asked = await get.json("expected.json");
    const x = Float32Array.from(asked.x, (value) => value ?? NaN);
    try {
        const model = await Model.open(get, { webgpu: false });
        const drawn = await model.sample(asked.seed);
        const rows = asked.samples.length / x.length;
        differ(`${folder}: samples`, asked.samples, drawn.slice(0, rows).map(({ mean }) => mean));
        for (const count of [1, asked.z.length]) {
            const latents = asked.z.slice(0, count).map((z) => Float32Array.from(z));
            const decoded = await model.decode(latents, asked.class);
            differ(`${folder}: decoded`, asked.decoded.slice(0, count * x.length), decoded);
        }
        const { z, deviation } = await model.encode(x, asked.class, asked.seed);
        differ(`${folder}: code`, asked.code, z);
        differ(`${folder}: deviation`, asked.deviation, deviation);
        const { distortion, rate } = await model.evaluate(x, asked.class, asked.seed);
        differ(`${folder}: distortion and rate`, asked.loss, [distortion, rate]);
    } catch (error) {
        faults.push(`${folder}: ${error.stack}`);
    }
}
faults.forEach((fault) => console.log(fault));
console.log(`asked ${process.argv.length - 2} pages`);
process.exit(faults.length > 0 ? 1 : 0);
