// node contracts.js OPENAPI.json ASYNCAPI.json: are they what they say they are? Prints one line
// of faults each; exit status 1 when there are any.
'use strict';
const fs = require('fs');
const SwaggerParser = require('@apidevtools/swagger-parser');
const { Parser } = require('@asyncapi/parser');

async function main([openapi, asyncapi]) {
	let faults = 0;
	const fault = (what, text) => {
		faults++;
		console.log(`${what}: ${text}`);
	};

	try {
		await SwaggerParser.validate(JSON.parse(fs.readFileSync(openapi, 'utf8')));
	} catch (error) {
		fault('openapi', error.message);
	}
	const { document, diagnostics } = await new Parser().parse(fs.readFileSync(asyncapi, 'utf8'));
	for (const { severity, path, message } of diagnostics)
		if (severity <= 1) // errors and warnings
			fault('asyncapi', `${path.join('.')}: ${message}`);
	if (!document)
		fault('asyncapi', 'no document');
	return faults ? 1 : 0;
}

main(process.argv.slice(2)).then((status) => process.exit(status));
