/** What is done to learned hashes inside Redis, each in one step. */
import { Script } from "../script.ts";

/** Shared head: how a hash that is none of ours is set aside, and how all weights fade. */
const HEAD = `
local function kind()
  local type = redis.call('TYPE', KEYS[1])['ok']
  if type == 'none' then return 'none' end
  if type ~= 'hash' then return 'corrupt' end
  local version = redis.call('HGET', KEYS[1], 'v')
  local number = version and string.match(version, '^%d+$') and tonumber(version) or 0
  if number > tonumber(ARGV[1]) then return 'newer' end
  if number >= 1 then return 'ours' end
  return 'corrupt'
end
local function aside(seconds)
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('EXPIRE', KEYS[2], seconds)
end
local function fade(factor, isDrift)
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local field, value = all[i], tonumber(all[i + 1])
    local isHistogram = string.find(field, ':', 1, true)
    if value and field ~= 'v' and field ~= 'n' and field ~= 'drifts' and field ~= 'driftedAt' then
      if isHistogram and ((isDrift and string.find(field, '/', 1, true)) or value * factor < 0.004) then
        redis.call('HDEL', KEYS[1], field)
      else
        redis.call('HSET', KEYS[1], field, string.format('%.17g', value * factor))
      end
    end
  end
end
`;

/**
 * Adds what was measured to a class, and lets its past fade. A hash that is no state is set aside, and a new one begun; one
 * of a newer version is left alone.
 *
 * KEYS[1] the hash, KEYS[2] where it is set aside, KEYS[3] the classes by time. ARGV[1] version, ARGV[2] seconds to keep,
 * ARGV[3] class key, ARGV[4] now in ms, ARGV[5] name, ARGV[6] jobs, ARGV[7] recent jobs, ARGV[8] how many of those are kept,
 * ARGV[9] weight beyond which all weights are halved, ARGV[10] weight that a drift leaves (0: no drift), ARGV[11] how many
 * classes are kept, ARGV[12] version of what is added, then pairs of (field, amount). ARGV[1] is the newest that is known.
 * Returns 'newer', or a list: 'kept' or 'aside', then the classes that are one too many.
 */
export const addToClass = new Script(`${HEAD}
local found = kind()
if found == 'newer' then return 'newer' end
if found == 'corrupt' then aside(ARGV[2]) end
local function add()
  for i = 13, #ARGV, 2 do
    local answer = redis.pcall('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1])
    if type(answer) == 'table' and answer['err'] then return false end
  end
  return true
end
if tonumber(ARGV[10]) > 0 and found == 'ours' then
  local weight = tonumber(redis.call('HGET', KEYS[1], 'w') or '0') or 0
  fade(math.min(1, tonumber(ARGV[10]) / math.max(tonumber(ARGV[10]), weight)), true)
  redis.call('HINCRBY', KEYS[1], 'drifts', 1)
  redis.call('HSET', KEYS[1], 'driftedAt', ARGV[4])
  local recent = redis.call('HGET', KEYS[1], 'recent') or ''
  local open = string.gsub(recent, '[^;]+', function(job) return (string.gsub(job, '^(%d+,%d+,%d+),[01-]', '%1,-')) end)
  redis.call('HSET', KEYS[1], 'recent', open)
end
if not add() then
  aside(ARGV[2])
  found = 'corrupt'
  add()
end
local version = math.max(tonumber(ARGV[12]), tonumber(redis.call('HGET', KEYS[1], 'v') or '0') or 0)
redis.call('HSET', KEYS[1], 'v', version, 'name', ARGV[5])
redis.call('HINCRBYFLOAT', KEYS[1], 'n', ARGV[6])
local jobs = {}
for job in string.gmatch((redis.call('HGET', KEYS[1], 'recent') or '') .. ';' .. ARGV[7], '[^;]+') do jobs[#jobs + 1] = job end
local first = math.max(1, #jobs - tonumber(ARGV[8]) + 1)
redis.call('HSET', KEYS[1], 'recent', table.concat(jobs, ';', first))
local weight = tonumber(redis.call('HGET', KEYS[1], 'w') or '0') or 0
if weight > tonumber(ARGV[9]) then fade(tonumber(ARGV[9]) / 2 / weight, false) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3])
local answer = { found == 'corrupt' and 'aside' or 'kept' }
local many = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[11])
if many > 0 then
  for _, class in ipairs(redis.call('ZPOPMIN', KEYS[3], many)) do answer[#answer + 1] = class end
end
return answer
`);

/**
 * Sets a hash aside in which a reader found something wrong, if it is still there. KEYS[1] the hash, KEYS[2] where to.
 * ARGV[1] version, ARGV[2] seconds to keep, ARGV[3] the field, ARGV[4] its value. Returns 1 when it was moved.
 */
export const setClassAside = new Script(`${HEAD}
local found = kind()
if found == 'none' or found == 'newer' then return 0 end
if found == 'ours' and (redis.call('HGET', KEYS[1], ARGV[3]) or '') ~= ARGV[4] then return 0 end
aside(ARGV[2])
return 1
`);
