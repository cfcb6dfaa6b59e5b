/** Words, names, numbers and sentences by chance: what synthetic documents are made of. One seed, one sequence. */

const syllables = `
  al be cor da en fi gra ho in jo ka lu mi no or pa qui re sta tu ul ver wi xe yo za ment tion ing er ly ble con
  pre ex sub
`
  .trim()
  .split(/\s+/);

const terms = `
  account order customer payment invoice shipment user report status total price quantity address email server
  request response error timeout session token cache queue worker batch file image text data record index table
  column value name title date time region country city phone code item product service plan level score result
  model input output config option handler event message task job state node edge graph list map set key
`
  .trim()
  .split(/\s+/);

const plainWords = `
  the of and to in a is that for it as was with be by on not he his but at are this have from or had an they
  which one you were all her she there would their we him been has when who will no more if out so up said what
  its about than into them can only other time new some could these two may first then do any like my now over
  such our man me even most made after also did many off before must well back through years much where your way
  down should because long each just state those people too mr how little good world make very year still see
  own work men day get here old life both between being under three never know same last another while us might
  great go come since against right came take used himself few house use during without again place around
  however home small found thought went say part once general high upon school every does got united left number
  course war until always away something fact water less public put think almost hand enough far took head yet
  government system better set told nothing night end why called eyes find going look asked later point knew
  next week company
`
  .trim()
  .split(/\s+/);

/** Draws from one generator; the order of the draws is part of what a seed means. */
export class Words {
  readonly #random: () => number;
  readonly #places: Readonly<Record<string, () => string>> = {
    word: () => this.word(),
    WORD: () => this.word().toUpperCase(),
    camel: () => this.camel(),
    snake: () => this.snake(),
    SNAKE: () => this.snake().toUpperCase(),
    number: () => this.number(),
    sentence: () => this.sentence(),
    date: () => this.date(),
    time: () => this.time(),
    color: () => this.int(0xffffff).toString(16).padStart(6, "0"),
    heading: () => String(1 + this.int(6)),
    day: () => String(1 + this.int(28)),
    year: () => String(10 + this.int(17)),
    "COUNT(*)": () => "COUNT(*)",
  };

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Whether something happens that happens in this share of the cases. */
  chance(share: number): boolean {
    return this.#random() < share;
  }

  /** A whole number below the limit. */
  int(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<T>(options: readonly T[]): T {
    const choice = options[this.int(options.length)];
    if (choice === undefined) throw new RangeError("expected options to pick from, found none");
    return choice;
  }

  word(): string {
    return this.chance(0.7) ? this.pick(terms) : this.pick(syllables) + this.pick(syllables);
  }

  camel(): string {
    return this.word() + capitalized(this.word().slice(0, 1)) + this.word().slice(1);
  }

  snake(): string {
    return `${this.word()}_${this.word()}`;
  }

  number(): string {
    return this.chance(0.5) ? String(this.int(10_000)) : (this.#random() * 1_000).toFixed(2);
  }

  sentence(): string {
    const text = this.repeat(5 + this.int(14), () => (this.chance(0.8) ? this.pick(plainWords) : this.word()), " ");
    return capitalized(text) + this.pick([".", ".", ".", "?", "!", ","]);
  }

  date(): string {
    return `20${10 + this.int(17)}-${this.#twoDigits(1 + this.int(12))}-${this.#twoDigits(1 + this.int(28))}`;
  }

  time(): string {
    return [24, 60, 60].map((limit) => this.#twoDigits(this.int(limit))).join(":");
  }

  repeat(count: number, make: () => string, separator = "\n"): string {
    return Array.from({ length: count }, make).join(separator);
  }

  /** Some lines, each of a template by chance. */
  lines(templates: readonly string[]): string {
    return this.repeat(4 + this.int(22), () => this.fill(this.pick(templates)));
  }

  /**
   * A template with its places filled, from left to right: «word», «WORD», «camel», «snake», «SNAKE», «number»,
   * «sentence», «date», «time», «day», «int 9» (a number below 9) and «this|that» (one of them).
   */
  fill(template: string, literal: (text: string) => string = (text) => text): string {
    return template
      .split(/«([^»]*)»/)
      .map((part, index) => (index % 2 === 0 ? literal(part) : this.#place(part)))
      .join("");
  }

  #place(name: string): string {
    const [, limit] = /^int (\d+)$/.exec(name) ?? [];
    if (limit !== undefined) return String(this.int(Number(limit)));
    if (name.includes("|")) return this.pick(name.split("|"));
    const make = this.#places[name];
    if (make === undefined) throw new RangeError(`template: expected the name of a place, found «${name}»`);
    return make();
  }

  #twoDigits(value: number): string {
    return String(value).padStart(2, "0");
  }
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
