-- ARGV: job, limit in bytes, seconds, then text and answer of each.  The field '' counts bytes.
local key = 'seqway:memo:' .. ARGV[1]
local limit = tonumber(ARGV[2])
local bytes = tonumber(redis.call('HGET', key, '') or 0)
for i = 4, #ARGV, 2 do
  local more = #ARGV[i] + #ARGV[i + 1]
  if bytes + more > limit then break end
  bytes = bytes + more * redis.call('HSETNX', key, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', key, '', bytes)
redis.call('EXPIRE', key, ARGV[3])
return bytes
