// SPDX-License-Identifier: LGPL-2.1-or-later
// check.mjs FILE: says "valid VERSION", or what is wrong with the OpenAPI document.  It finds the validator beside itself.
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";

const validator = new Validator();
const result = await validator.validate(JSON.parse(readFileSync(process.argv[2], "utf8")));
if (result.valid) {
    console.log(`valid ${validator.version}`);
} else {
    console.log(JSON.stringify(result.errors, null, 1));
    process.exitCode = 1;
}
