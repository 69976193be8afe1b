import { merge, missing, ours, stripes } from '../support/parameters.ts';
import { writeFileSync } from 'node:fs';
import {test} from '@playwright/test'; test('x', async()=>{ const known = await stripes('stripe');
for (const [endpoint, tree] of await stripes('stripe-basil')) known.set(endpoint, merge(known.get(endpoint) ?? {}, tree));
const inv:string[]=[], forg:string[]=[];
for (const [e,t] of ours()) { const r=known.get(e); if(!r){inv.push(e);continue;} inv.push(...missing(r,t).map(n=>e+' '+n)); forg.push(...missing(t,r).map(n=>e+' '+n)); }
writeFileSync('/tmp/wt/scratch-sandbox/diff.json', JSON.stringify({inv,forg}));
console.log('INV'); console.log(inv.join('\n')); console.log('FORG'); console.log(forg.filter(x=>!x.includes('payment_method_options')).join('\n'));
});
