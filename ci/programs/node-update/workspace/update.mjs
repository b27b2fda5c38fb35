import { readFile, writeFile } from 'node:fs/promises';
const name = process.argv[2];
const data = JSON.parse(await readFile('state.json', 'utf8'));
data[name] = 1;
await writeFile('state.json', JSON.stringify(data));
