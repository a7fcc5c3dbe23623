-- ARGV: member, token, lease in ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner = redis.call('HGET', 'seqway:owners', ARGV[1])
local ends = redis.call('ZSCORE', 'seqway:out', ARGV[1])
if owner and owner ~= ARGV[2] and ends and tonumber(ends) > now then return 0 end
redis.call('HSET', 'seqway:owners', ARGV[1], ARGV[2])
redis.call('ZADD', 'seqway:out', now + tonumber(ARGV[3]), ARGV[1])
return 1
