// The parameters of Stripe's endpoints, read from the types of its SDK, and those of the sandbox, read
// from its parameter trees.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Parameter names, each with those below it; `null` if there are none. */
export interface Tree {
  [name: string]: Tree | null;
}

const here = fileURLToPath(new URL('..', import.meta.url));
const params = fileURLToPath(new URL('../../sandbox/src/params', import.meta.url));

/** Returns the sandbox's trees by endpoint. A parameter that is rejected by name has `null` below it. */
export function ours(): Map<string, Tree> {
  const trees = new Map<string, Tree>();
  const files = readdirSync(params).filter((file) => file.endsWith('.params') && file !== 'sandbox.params');
  for (const file of files) {
    let open: Tree[] = [];
    for (const line of readFileSync(join(params, file), 'utf8').split('\n')) {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) continue;
      const depth = (line.length - line.trimStart().length) / 2;
      if (depth === 0) {
        open = [{}];
        trees.set(text, open[0]!);
        continue;
      }
      const around = open[depth - 1]!;
      if (text === '@page') {
        Object.assign(around, { limit: null, starting_after: null, ending_before: null });
        continue;
      }
      if (text === '!*') {
        around['*'] = null;
        continue;
      }
      const [word, kind] = text.split(' ');
      const name = word!.replace(/^!/, '').replace(/\[\]$/, '').replace(/\*$/, '');
      const inner: Tree | null = kind === undefined && !word!.startsWith('!') ? {} : null;
      around[name] = inner;
      open = [...open.slice(0, depth), inner ?? {}];
    }
  }
  return trees;
}

/** Returns the trees of an installed version of Stripe's SDK, by endpoint. */
export async function stripes(module: string): Promise<Map<string, Tree>> {
  const { default: Stripe } = await import(module);
  const file = join(here, `types-of-${module}.ts`);
  const source = `import Stripe from 'stripe';\nexport declare const client: Stripe;\n`;
  // Earlier SDKs declare a module `stripe`, whatever name they are installed under.
  const declared = join(here, 'node_modules', module, 'types/index.d.ts');
  const roots = existsSync(declared) ? [file, declared] : [file];
  const host = ts.createCompilerHost({});
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? source : readFile(name));
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ESNext) : getSourceFile(name, ...rest);
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    strict: true,
    skipLibCheck: true,
  };
  const program = ts.createProgram(roots, options, host);
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!);
  const at = program.getSourceFile(file)!;
  const client = checker.getTypeOfSymbolAtLocation(exported[0]!, at);

  let seen = '';
  const recording = Stripe.createFetchHttpClient(async (url: string | URL, init: { method: string }) => {
    seen = `${init.method} ${new URL(url).pathname.replaceAll('/ID', '/:id')}`;
    return new Response('{"object":"list","data":[],"has_more":false}');
  });
  const stripe = new Stripe('sk_test_types', { httpClient: recording, telemetry: false, maxNetworkRetries: 0 });
  const trees = new Map<string, Tree>();

  const walk = async (resource: any, type: ts.Type, depth: number): Promise<void> => {
    for (const property of type.getProperties()) {
      const value = resource?.[property.name];
      const inner = checker.getTypeOfSymbolAtLocation(property, at);
      const signatures = inner.getCallSignatures();
      if (typeof value === 'function' && signatures.length > 0 && depth > 0) {
        seen = '';
        const longest = [...signatures].sort((a, b) => b.parameters.length - a.parameters.length)[0]!;
        const given = longest.parameters.map((parameter) => {
          const holds = checker.getTypeOfSymbolAtLocation(parameter, at);
          return (holds.flags & ts.TypeFlags.String) !== 0 ? 'ID' : {};
        });
        const parameters = longest.parameters.find((parameter) => parameter.name === 'params');
        // Only the ids and the parameters, not the options after them.
        const count = longest.parameters.filter((parameter) => parameter.name !== 'options').length;
        try {
          await value.apply(resource, given.slice(0, count));
        } catch {
          continue;
        }
        if (seen.startsWith('GET') || seen.startsWith('POST') || seen.startsWith('DELETE')) {
          const tree = parameters ? namesOf(checker.getTypeOfSymbolAtLocation(parameters, at), 0) : {};
          trees.set(seen, { ...trees.get(seen), ...(tree ?? {}) });
        }
      } else if (value !== null && typeof value === 'object' && depth < 3 && !property.name.startsWith('_')) {
        await walk(value, inner, depth + 1);
      }
    }
  };

  function namesOf(type: ts.Type, depth: number): Tree | null {
    if (depth > 8) return null;
    if (type.isUnion()) {
      const trees = type.types.map((part) => namesOf(part, depth)).filter((tree) => tree !== null);
      return trees.length === 0 ? null : trees.reduce(merge);
    }
    const element = checker.isArrayType(type) ? checker.getTypeArguments(type as ts.TypeReference)[0] : undefined;
    if (element) return namesOf(element, depth);
    if ((type.flags & ts.TypeFlags.Object) === 0 || type.getStringIndexType()) return null;
    const tree: Tree = {};
    for (const property of type.getProperties()) {
      tree[property.name] = namesOf(checker.getTypeOfSymbolAtLocation(property, at), depth + 1);
    }
    return tree;
  }

  await walk(stripe, client, 0);
  return trees;
}

/** Returns a tree with the names of both. */
export function merge(first: Tree, second: Tree): Tree {
  const merged: Tree = { ...first };
  for (const [name, tree] of Object.entries(second)) {
    const known = merged[name];
    merged[name] = known && tree ? merge(known, tree) : (known ?? tree);
  }
  return merged;
}

/** Returns the paths that are in `others` and not in `from`. */
export function missing(from: Tree, others: Tree, path = ''): string[] {
  return Object.entries(others).flatMap(([name, tree]) => {
    const here = path === '' ? name : `${path}[${name}]`;
    if (name === 'expand' || name === '*') return [];
    if (!(name in from)) return '*' in from ? [] : [here];
    const known = from[name];
    return known && tree ? missing(known, tree, here) : [];
  });
}
