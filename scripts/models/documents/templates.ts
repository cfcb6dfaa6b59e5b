/** Lines of the synthetic documents whose lines are all of one kind. Places between « and » are filled by `Words.fill`. */

export const javascript = [
  "const «camel» = «require|await fetch|new Map|Object.keys»('«word»');",
  "export function «camel»(«word», «word») {\n  return «word».«word»(«number»);\n}",
  "if («camel» === «number») {\n  throw new Error(`«word» ${«word»}`);\n}",
  "  «word».«camel»((«word») => «word».«word» !== null);",
  "// «sentence»",
  "import { «camel» } from '«word»/«word».js';",
  "let «word» = [«number», «number»];",
  "module.exports = { «camel» };",
  "async function «camel»() {\n  await «word».«camel»();\n}",
  " * @param {string} «word» - «sentence»",
];

export const python = [
  "def «snake»(self, «word»=None):\n    return self.«snake»[«number»]",
  "import «word»\nfrom «word».«word» import «snake»",
  'class «camel»(«camel»):\n    """«sentence»"""',
  'if «snake» is not None and «word»:\n    raise ValueError("«sentence»")',
  'for «word» in range(len(«snake»)):\n    print(f"{«word»}")',
  "# «sentence»",
  "    «snake» = [x for x in «word» if x]",
  "    except «camel»Error as e:\n        pass",
  "    with open(«word», 'rb') as f:\n        «word» = f.read()",
  "    elif «word»:\n        self._«snake» = True",
];

export const c = [
  "#include <«word»/«word».h>",
  "#define «SNAKE» «number»",
  "static int «snake»(const char *«word», size_t «word»)\n{\n\treturn «number»;\n}",
  "struct «snake» {\n\tunsigned long «word»;\n\tvoid *«word»;\n};",
  "extern void «snake» (int __«word»);",
  "/* «sentence» */",
  "#ifdef __«SNAKE»__\n#endif",
  "\tif («word»->«word» == NULL)\n\t\tgoto err;",
  "typedef unsigned int «snake»_t;",
  '\tprintf("%d\\n", «word»);',
];

export const yaml = [
  '«snake»:\n  «word»: «number»\n  «word»: "«word»"',
  "«word»: «sentence»",
  "«word»:\n  - «word»\n  - «word»/«word»",
  "# «sentence»",
  "  - name: «sentence»\n    «word»: «true|false|yes»",
  "«word»-«word»: |\n  «sentence»",
];

export const html = [
  '<div class="«word»-«word»">\n  <p>«sentence»</p>\n</div>',
  '<a href="/«word»/«word»">«word»</a>',
  "<li>«sentence»</li>",
  '<h2 id="«word»">«sentence»</h2>',
  "<table><tr><td>«number»</td></tr></table>",
  '<img src="«word».png" alt="«word»"/>',
  "<!-- «sentence» -->",
  '<script src="«word».js"></script>',
];

export const css = [
  ".«word»-«word» {\n  color: #«color»;\n  margin: «int 40»px «int 40»px;\n}",
  "#«word» > a:hover {\n  display: «flex|none|block»;\n  width: «int 100»%;\n}",
  "@media (max-width: «int 1600»px) {\n  body { font-size: «int 30»px; }\n}",
  "/* «sentence» */",
  ".«word»{padding:«int 20»px;background:url(«word».png);border:1px solid #ccc}",
  "h«heading», p, ul { font-family: Arial, sans-serif; text-align: center; }",
];

export const markdown = [
  "## «word» «word»\n",
  "- «sentence»\n- **«word»**: «sentence»",
  "«sentence» «sentence» `«camel»`\n",
  "```«js|bash|python|»\n«camel»(«number»)\n```\n",
  "[«word»](https://example.com/«word») «sentence»",
  "| «word» | «word» |\n| --- | --- |\n| «number» | «word» |",
  "1. «sentence»\n2. «sentence»",
  "> «sentence»",
  "![«word»](https://img.example.com/«word».svg)",
];

/** Keywords are in capitals here; a document's line may have them all in lower case. */
export const sql = [
  "SELECT «snake», «COUNT(*)» FROM «snake» WHERE «word» = '«word»' GROUP BY «snake»;",
  "INSERT INTO «snake» («word», «word») VALUES («number», '«sentence»');",
  "CREATE TABLE «snake» (\n  id INTEGER PRIMARY KEY,\n  «snake» VARCHAR(255) NOT NULL\n);",
  "UPDATE «snake» SET «word» = «number» WHERE id = «int 999»;",
  "LEFT JOIN «snake» t«int 9» ON t1.«word»_id = t2.id",
  "-- «sentence»",
  "ALTER TABLE «snake» ADD COLUMN «snake» TIMESTAMP DEFAULT NULL;",
  "CREATE INDEX idx_«snake» ON «snake» («word»);",
];

export const shell = [
  'if [ -z "$«SNAKE»" ]; then\n  exit «int 3»\nfi',
  "«WORD»=\"$(cat /«word»/«word» | grep «word» | awk '{print $«int 9»}')\"",
  'echo "«sentence»" >&2',
  'for f in "$@"; do\n  rm -rf "$f"\ndone',
  "# «sentence»",
  "«snake»() {\n  local «word»=$1\n}",
  "export «SNAKE»=${«WORD»:-«word»}",
  'case "$1" in\n  «word») ;;\n  *) exit 1 ;;\nesac',
  "cd /«word»/«word» && mkdir -p «word» || exit 1",
  "sed -i 's/«word»/«word»/g' «word».conf",
];

export const logMessages = [
  "«word» «word» failed: «word» timeout after «int 9000»ms",
  "request «GET|POST» /«word»/«int 999» «200|404|500» «int 900»ms",
  "connected to «int 255».«int 255».«int 255».«int 255»:«int 65535»",
  "«sentence»",
  "worker «int 64» started pid=«int 65535»",
];

export const accessLogLine =
  '«int 255».«int 255».«int 255».«int 255» - - [«day»/Nov/20«year»:«time» +0000] "«GET|POST» /«word»/«word» HTTP/1.1" «200|301|404|500» «int 99999»';
