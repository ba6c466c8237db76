// Lets pages that `elbo export --format web --train` made train, and compares every loss with that of the program.
//
//   node tests/web/train.mjs [--webgpu PACKAGE] FOLDER...
//
// Each folder has a page and, in expected.json, the terms of each step as the CPU engine has them, learning rates and orders.
// JavaScript computes, or with the npm package `webgpu` in the folder PACKAGE the shaders do. Prints what is off by more than
// a share of 1e-4, and exits with 1 if anything is.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TOLERANCE = 1e-4;
const [given, packageFolder, ...rest] = process.argv.slice(2);
const webgpu = given === "--webgpu";
const folders = webgpu ? rest : process.argv.slice(2);
const faults = [];
if (webgpu) {
    const { create, globals } = await import(pathToFileURL(resolve(packageFolder, "index.js")));
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, "navigator", { value: { gpu: create(["backend=vulkan"]) } });
}

const off = (found, expected) => Math.abs(found - expected) / Math.max(1, Math.abs(expected));
let worst = 0;

async function train(folder) {
    const read = (name) => readFileSync(join(folder, name));
    const get = {
        json: async (name) => JSON.parse(read(name).toString()),
        bytes: async (name) => new Uint8Array(read(name)).buffer,
    };
    const load = (name) => import(pathToFileURL(resolve(folder, name)));
    const [{ Training }, { order }, { scalarsOf }] = await Promise.all(["training.js", "order.js", "schedule.js"].map(load));
    const [about, told, asked] = await Promise.all(["model.json", "training.json", "expected.json"].map(get.json));
    asked.orders.forEach((expected, epoch) => {
        const found = order(told.examples, told, epoch).slice(0, expected.length);
        if (String(found) !== String(expected)) {
            faults.push(`${folder}: epoch ${epoch} begins with ${found}, not with ${expected}`);
        }
    });
    for (const [at, [lr, correction1, correction2, ...weights]] of asked.told.entries()) {
        const found = scalarsOf(told, asked.first + at, told.parts - 1);
        const all = [[found.lr, lr], [found.correction1, correction1], [found.correction2, correction2]];
        const wrong = all.concat(weights.map((weight, slot) => [found.weights[slot], weight])).find(([a, b]) => off(a, b) > 1e-7);
        if (wrong) {
            faults.push(`${folder}: step ${asked.first + at} is told ${wrong[0]}, and by elbo ${wrong[1]}`);
            break;
        }
    }
    const training = await Training.open(get, about, { webgpu });
    // Twice: a restart goes back to the same place.
    for (const count of [Math.min(3, asked.terms.length), asked.terms.length]) {
        training.restart();
        const done = [];
        while (done.length < count) {
            done.push(...await training.steps(count - done.length));
        }
        const wrong = done.find(({ terms }, at) => terms.some((term, column) => !(off(term, asked.terms[at][column]) <= TOLERANCE)));
        if (wrong) {
            const expected = asked.terms[done.indexOf(wrong)];
            faults.push(`${folder}: step ${wrong.step} comes to ${wrong.terms}, and in elbo to ${expected}`);
        }
        done.forEach(({ terms }, at) => terms.forEach((term, column) => {
            worst = Math.max(worst, off(term, asked.terms[at][column]));
        }));
    }
    const last = (await training.parameters()).slice(0, asked.parameters.length);
    const at = asked.parameters.findIndex((value, place) => Math.abs(value - last[place]) > 1e-3);
    if (at >= 0) {
        faults.push(`${folder}: parameter ${at} is ${last[at]}, and in elbo ${asked.parameters[at]}`);
    }
}

for (const folder of folders) {
    await train(folder).catch((error) => faults.push(`${folder}: ${error.stack}`));
}
faults.forEach((fault) => console.log(fault));
console.log(`let ${folders.length} pages train, ${worst.toExponential(1)} off at most`);
// Dawn keeps the process alive.
process.exit(faults.length > 0 ? 1 : 0);
