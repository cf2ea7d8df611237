/** A validator for the part of JSON Schema 2020-12 that we publish. A keyword that it does not know throws. */
export function validates(schema: unknown, value: unknown): boolean {
  if (typeof schema === "boolean") return schema;
  if (!isObject(schema)) throw new Error("not a schema");
  return Object.entries(schema).every(([keyword, argument]) => {
    const check = Object.hasOwn(CHECKS, keyword) ? CHECKS[keyword] : undefined;
    if (check === undefined) throw new Error(`the keyword ${keyword} is not known here`);
    return check(argument, value, schema);
  });
}

type Plain = Readonly<Record<string, unknown>>;
type Check = (argument: unknown, value: unknown, schema: Plain) => boolean;

const annotation: Check = () => true;
const list = (argument: unknown): readonly unknown[] => (Array.isArray(argument) ? argument : [argument]);
const matching = (schemas: unknown, value: unknown) =>
  list(schemas).filter((each) => validates(each, value)).length;
const number =
  (compare: (value: number, bound: number) => boolean): Check =>
  (bound, value) =>
    typeof value !== "number" || compare(value, Number(bound));
const size =
  (of: (value: unknown) => number | null, compare: (size: number, bound: number) => boolean): Check =>
  (bound, value) =>
    compare(of(value) ?? Number(bound), Number(bound));
const letters = (value: unknown) => (typeof value === "string" ? [...value].length : null);
const items = (value: unknown) => (Array.isArray(value) ? value.length : null);
const least = (value: number, bound: number) => value >= bound;
const most = (value: number, bound: number) => value <= bound;

const CHECKS: Readonly<Record<string, Check>> = {
  $schema: annotation,
  title: annotation,
  description: annotation,
  default: annotation,
  format: annotation,
  type: (types, value) => list(types).some((type) => isOfType(String(type), value)),
  enum: (values, value) => list(values).includes(value),
  const: (expected, value) => value === expected,
  pattern: (pattern, value) => typeof value !== "string" || new RegExp(String(pattern), "u").test(value),
  minLength: size(letters, least),
  maxLength: size(letters, most),
  minItems: size(items, least),
  maxItems: size(items, most),
  minimum: number(least),
  maximum: number(most),
  exclusiveMinimum: number((value, bound) => value > bound),
  items: (schema, value) => !Array.isArray(value) || value.every((item) => validates(schema, item)),
  anyOf: (schemas, value) => matching(schemas, value) > 0,
  oneOf: (schemas, value) => matching(schemas, value) === 1,
  allOf: (schemas, value) => matching(schemas, value) === list(schemas).length,
  required: (names, value) =>
    !isObject(value) || list(names).every((name) => Object.hasOwn(value, String(name))),
  propertyNames: (schema, value) =>
    !isObject(value) || Object.keys(value).every((name) => validates(schema, name)),
  properties: (properties, value) =>
    entries(value).every(([name, each]) => !has(properties, name) || validates(properties[name], each)),
  patternProperties: (patterns, value) =>
    entries(value).every(([name, each]) =>
      entries(patterns).every(
        ([pattern, schema]) => !new RegExp(pattern, "u").test(name) || validates(schema, each),
      ),
    ),
  additionalProperties: (schema, value, { properties, patternProperties }) =>
    entries(value)
      .filter(([name]) => !has(properties, name))
      .filter(
        ([name]) => !entries(patternProperties).some(([pattern]) => new RegExp(pattern, "u").test(name)),
      )
      .every(([, each]) => validates(schema, each)),
};

function isOfType(type: string, value: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function isObject(value: unknown): value is Plain {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function has(value: unknown, name: string): value is Plain {
  return isObject(value) && Object.hasOwn(value, name);
}

function entries(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}
