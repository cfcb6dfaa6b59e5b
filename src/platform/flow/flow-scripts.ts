/** The scripts over the state of a flow (see flow-state.ts). */
import { Script } from "../script.ts";

/**
 * Writes the ends of nodes and instances, each unless it has one, and counts down who needs them. KEYS[1] hash of the flow.
 * ARGV[1…] for each: its path, its node when it is an instance, else empty, and its end.
 * Returns two lists: the nodes that wait for nothing more and have not ended, each time anew when it is asked again; and the
 * fan-outs of which no instance is left. An error when there is no such flow or node.
 */
export const SETTLE = new Script(
  `
local ready, groups, seen = {}, {}, {}
local function tell(json, first)
  if json == "[]" then return end
  for _, below in ipairs(cjson.decode(json)) do
    local waits
    if first == 1 then waits = redis.call("HINCRBY", KEYS[1], "w:" .. below, -1)
    else waits = tonumber(redis.call("HGET", KEYS[1], "w:" .. below)) end
    if waits == 0 and not seen[below] and redis.call("HEXISTS", KEYS[1], "o:" .. below) == 0 then
      seen[below] = true
      ready[#ready + 1] = below
    end
  end
end
for at = 1, #ARGV, 3 do
  local path, group, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local below = group == "" and redis.call("HGET", KEYS[1], "d:" .. path)
  if group == "" and not below then return redis.error_reply("NOFLOW no node " .. path .. " in " .. KEYS[1]) end
  local first = redis.call("HSETNX", KEYS[1], "o:" .. path, value)
  redis.call("HDEL", KEYS[1], "s:" .. path, "c:" .. path)
  if group == "" then
    if first == 1 then redis.call("HINCRBY", KEYS[1], "left", -1) end
    tell(below, first)
  else
    local left
    if first == 1 then left = redis.call("HINCRBY", KEYS[1], "l:" .. group, -1)
    else left = tonumber(redis.call("HGET", KEYS[1], "l:" .. group) or 0) end
    if left <= 0 and not seen["/" .. group] then
      seen["/" .. group] = true
      groups[#groups + 1] = group
    end
  end
end
return { ready, groups }
`,
  { whenFull: "runs" },
);

/**
 * Reads nodes, and how those that they need or read ended. KEYS[1] hash of the flow. ARGV nodes. Returns two lists: nodes, empty
 * for one that the flow does not have; and what has ended, names and ends in turn. What is read by a node that this Lua
 * cannot decode, which is stricter than others with Unicode, is left out.
 */
export const READ_READY = new Script(`
local nodes, ends, seen = {}, {}, {}
local function read(id)
  if seen[id] then return end
  seen[id] = true
  local value = redis.call("HGET", KEYS[1], "o:" .. id)
  if not value then return end
  ends[#ends + 1] = id
  ends[#ends + 1] = value
end
for at = 1, #ARGV do
  local json = redis.call("HGET", KEYS[1], "n:" .. ARGV[at])
  nodes[at] = json or ""
  local is_read, planned = pcall(cjson.decode, json or "")
  if is_read then
    for _, id in ipairs(planned.reads) do read(id) end
    for _, edge in ipairs(planned.node.needs) do read(edge.node) end
  end
end
return { nodes, ends }
`);

/**
 * Notes the items of a fan-out once. KEYS[1] hash of the flow. ARGV[1] node. ARGV[2] items. ARGV[3] how many. Returns 1 when
 * they were noted now, else 0, and those that are noted.
 */
export const OPEN_GROUP = new Script(`
local first = redis.call("HSETNX", KEYS[1], "k:" .. ARGV[1], ARGV[2])
if first == 1 then redis.call("HSET", KEYS[1], "l:" .. ARGV[1], ARGV[3]) end
return { first, redis.call("HGET", KEYS[1], "k:" .. ARGV[1]) }
`);
