-- ARGV: tenant, job, order, chunk, member, token ('' when nobody owns it yet).
local member, token = ARGV[5], ARGV[6]
local owner = redis.call('HGET', 'seqway:owners', member)
if owner and owner ~= token then return 0 end
redis.call('ZREM', 'seqway:out', member)
redis.call('HDEL', 'seqway:owners', member)
redis.call('ZADD', 'seqway:pending:' .. ARGV[2], ARGV[4], member)
redis.call('ZADD', 'seqway:ready:' .. ARGV[1], ARGV[3], ARGV[2])
local first = redis.call('ZRANGE', 'seqway:tenants', 0, 0, 'WITHSCORES')
redis.call('ZADD', 'seqway:tenants', 'NX', first[2] or 0, ARGV[1])
return 1
