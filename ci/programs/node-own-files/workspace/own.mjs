import { writeFile, rename } from 'node:fs/promises';
const name = process.argv[2];
await writeFile(`${name}.tmp`, JSON.stringify({ name }));
await rename(`${name}.tmp`, `${name}.json`);
