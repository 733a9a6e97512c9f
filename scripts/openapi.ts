/** The interface as a file: a change of a route shows in review. */

import { PRODUCT, VERSION } from "#core/version.ts";
import { openApiDocument, withDocumentation } from "#http/openapi.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { metricsRoutes } from "#sovd/metrics.ts";
import { sovdRoutes } from "#sovd/routes.ts";

const NO_METRICS = { contentType: "text/plain; version=0.0.4; charset=utf-8", text: async () => "" };

/** The OpenAPI document of a server with default options and no vehicle. */
export function openApiJson(): string {
  const options = SOVD_DEFAULTS;
  const routes = withDocumentation([...sovdRoutes(options), ...metricsRoutes(NO_METRICS)], options);
  const version = { name: PRODUCT, version: VERSION, commit: "", buildDate: "" };
  const document = openApiDocument(routes, options, version, { ecus: [], groups: [] });
  return `${JSON.stringify(document, null, 2)}\n`;
}
